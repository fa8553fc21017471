//! Names of people in many scripts, each with the spelling in ASCII that logins and mail addresses use.
//!
//! The ASCII spellings are the usual romanisations (ISO 843, BGN/PCGN, pinyin, Hepburn, Revised Romanization), written
//! out per name because no rule gives what people of that language expect.

/// A name as written and in ASCII.
pub(crate) type Name = (&'static str, &'static str);

/// The people of one language.
#[derive(Debug)]
pub(crate) struct Language {
    /// BCP 47.
    pub(crate) tag: &'static str,
    /// Index into `place::OFFICES`.
    pub(crate) office: usize,
    /// Family name first, without a space.
    pub(crate) family_first: bool,
    pub(crate) given: &'static [Name],
    pub(crate) family: &'static [Name],
}

impl Language {
    /// The name as people of this language write it.
    pub(crate) fn display(&self, given: &str, family: &str) -> String {
        if self.family_first {
            format!("{family}{given}")
        } else {
            format!("{given} {family}")
        }
    }
}

const fn language(
    tag: &'static str,
    office: usize,
    family_first: bool,
    given: &'static [Name],
    family: &'static [Name],
) -> Language {
    Language {
        tag,
        office,
        family_first,
        given,
        family,
    }
}

#[rustfmt::skip]
pub(crate) const LANGUAGES: &[Language] = &[
    language("en-GB", 0, false,
        &[("Grace", "grace"), ("Oliver", "oliver"), ("Amelia", "amelia"), ("Arthur", "arthur"), ("Isla", "isla"), ("Noah", "noah"), ("Florence", "florence"), ("Theo", "theo")],
        &[("Hughes", "hughes"), ("Bennett", "bennett"), ("Clarke", "clarke"), ("Ashworth", "ashworth"), ("Whitfield", "whitfield"), ("Marsh", "marsh"), ("Pemberton", "pemberton"), ("Lockwood", "lockwood")]),
    language("ga-IE", 1, false,
        &[("Siobhán", "siobhan"), ("Seán", "sean"), ("Róisín", "roisin"), ("Pádraig", "padraig"), ("Gráinne", "grainne"), ("Ciarán", "ciaran")],
        &[("O'Brien", "o'brien"), ("Ní Mhaoláin", "nimhaolain"), ("Ó Súilleabháin", "osuilleabhain"), ("O'Connor", "o'connor"), ("Mac Cárthaigh", "maccarthaigh"), ("Byrne", "byrne")]),
    language("de-DE", 2, false,
        &[("Jürgen", "juergen"), ("Käthe", "kaethe"), ("Björn", "bjoern"), ("Anneliese", "anneliese"), ("Götz", "goetz"), ("Liesel", "liesel"), ("Matthäus", "matthaeus"), ("Ute", "ute")],
        &[("Müller", "mueller"), ("Weiß", "weiss"), ("Schröder", "schroeder"), ("Jäger", "jaeger"), ("von der Heide", "vonderheide"), ("Groß", "gross"), ("Schmidt-Höfer", "schmidt-hoefer"), ("Vögel", "voegel")]),
    language("fr-FR", 3, false,
        &[("Zoë", "zoe"), ("François", "francois"), ("Hélène", "helene"), ("Jérôme", "jerome"), ("Anaïs", "anais"), ("Loïc", "loic"), ("Noémie", "noemie"), ("Étienne", "etienne")],
        &[("Lefèvre", "lefevre"), ("Dupré", "dupre"), ("D'Aubigné", "d'aubigne"), ("Maçon", "macon"), ("Château", "chateau"), ("Bérenger", "berenger"), ("L'Hôpital", "l'hopital"), ("Œuvrard", "oeuvrard")]),
    language("pl-PL", 4, false,
        &[("Łukasz", "lukasz"), ("Małgorzata", "malgorzata"), ("Żaneta", "zaneta"), ("Przemysław", "przemyslaw"), ("Agnieszka", "agnieszka"), ("Stanisław", "stanislaw")],
        &[("Wiśniewski", "wisniewski"), ("Dąbrowska", "dabrowska"), ("Ślusarczyk", "slusarczyk"), ("Gębała", "gebala"), ("Ćwikła", "cwikla"), ("Zieliński", "zielinski")]),
    language("nb-NO", 5, false,
        &[("Åse", "ase"), ("Øyvind", "oyvind"), ("Kåre", "kare"), ("Ingrid", "ingrid"), ("Bjørg", "bjorg"), ("Håkon", "hakon")],
        &[("Ødegård", "odegard"), ("Bjørnstad", "bjornstad"), ("Ås", "as"), ("Sæther", "saether"), ("Lindqvist", "lindqvist"), ("Nygård", "nygard")]),
    language("tr-TR", 6, false,
        &[("Gülşen", "gulsen"), ("İbrahim", "ibrahim"), ("Çağla", "cagla"), ("Ömer", "omer"), ("Işıl", "isil"), ("Uğur", "ugur")],
        &[("Yıldız", "yildiz"), ("Şahin", "sahin"), ("Öztürk", "ozturk"), ("Çelik", "celik"), ("Güneş", "gunes"), ("Aydın", "aydin")]),
    language("vi-VN", 7, false,
        &[("Thị Hồng", "thihong"), ("Văn Đức", "vanduc"), ("Quỳnh", "quynh"), ("Tuấn", "tuan"), ("Ngọc", "ngoc"), ("Hữu Phước", "huuphuoc")],
        &[("Nguyễn", "nguyen"), ("Trần", "tran"), ("Lê", "le"), ("Phạm", "pham"), ("Đặng", "dang"), ("Võ", "vo")]),
    language("el-GR", 8, false,
        &[("Ελένη", "eleni"), ("Γιώργος", "giorgos"), ("Κωνσταντίνα", "konstantina"), ("Δημήτρης", "dimitris"), ("Άννα", "anna"), ("Ξένια", "xenia")],
        &[("Παπαδόπουλος", "papadopoulos"), ("Ψαρρά", "psarra"), ("Θεοδωράκης", "theodorakis"), ("Χατζή", "chatzi"), ("Ιωάννου", "ioannou"), ("Ζαφείρης", "zafeiris")]),
    language("uk-UA", 9, false,
        &[("Олександр", "oleksandr"), ("Наталія", "nataliia"), ("Ярослав", "yaroslav"), ("Юлія", "yuliia"), ("Євген", "yevhen"), ("Щасна", "shchasna")],
        &[("Шевченко", "shevchenko"), ("Кравчук", "kravchuk"), ("Їжакевич", "yizhakevych"), ("Гриценко", "hrytsenko"), ("Бойко", "boiko"), ("Ґудзь", "gudz")]),
    language("bg-BG", 10, false,
        &[("Георги", "georgi"), ("Цветелина", "tsvetelina"), ("Стоян", "stoyan"), ("Жана", "zhana"), ("Христо", "hristo"), ("Йордан", "yordan")],
        &[("Димитров", "dimitrov"), ("Иванова", "ivanova"), ("Щерев", "shterev"), ("Чолакова", "cholakova"), ("Юруков", "yurukov"), ("Петров", "petrov")]),
    language("ar-EG", 11, false,
        &[("محمد", "mohamed"), ("فاطمة", "fatma"), ("عمر", "omar"), ("ليلى", "layla"), ("خالد", "khaled"), ("نور", "nour")],
        &[("الشريف", "elsherif"), ("حسن", "hassan"), ("عبد الله", "abdallah"), ("منصور", "mansour"), ("السيد", "elsayed"), ("بدوي", "badawi")]),
    language("he-IL", 12, false,
        &[("נועה", "noa"), ("יוסף", "yosef"), ("תמר", "tamar"), ("איתן", "eitan"), ("שירה", "shira"), ("דוד", "david")],
        &[("כהן", "cohen"), ("לוי", "levi"), ("מזרחי", "mizrahi"), ("פרידמן", "friedman"), ("בן־דוד", "ben-david"), ("שפירא", "shapira")]),
    language("hi-IN", 13, false,
        &[("प्रिया", "priya"), ("अर्जुन", "arjun"), ("लक्ष्मी", "lakshmi"), ("विक्रम", "vikram"), ("आशा", "asha"), ("राजेश", "rajesh")],
        &[("शर्मा", "sharma"), ("वर्मा", "verma"), ("पटेल", "patel"), ("गुप्ता", "gupta"), ("मिश्रा", "mishra"), ("चौधरी", "chaudhary")]),
    language("zh-CN", 14, true,
        &[("伟", "wei"), ("秀英", "xiuying"), ("建国", "jianguo"), ("晓明", "xiaoming"), ("丽华", "lihua"), ("子轩", "zixuan")],
        &[("王", "wang"), ("李", "li"), ("张", "zhang"), ("刘", "liu"), ("欧阳", "ouyang"), ("赵", "zhao")]),
    language("ja-JP", 15, true,
        &[("翔太", "shota"), ("さくら", "sakura"), ("健一", "kenichi"), ("美咲", "misaki"), ("大輔", "daisuke"), ("ヒロシ", "hiroshi")],
        &[("佐藤", "sato"), ("鈴木", "suzuki"), ("高橋", "takahashi"), ("渡邊", "watanabe"), ("小林", "kobayashi"), ("斎藤", "saito")]),
    language("ko-KR", 16, true,
        &[("민준", "minjun"), ("서연", "seoyeon"), ("지훈", "jihun"), ("은지", "eunji"), ("현우", "hyeonu"), ("수빈", "subin")],
        &[("김", "kim"), ("이", "lee"), ("박", "park"), ("최", "choi"), ("정", "jung"), ("황", "hwang")]),
];

/// Display names that carry every character which some layer must escape. Given, family, display, ASCII.
#[rustfmt::skip]
pub(crate) const SPECIAL: &[(&str, &str, &str, &str)] = &[
    ("Siobhán \"Shiv\"", "O'Brien, PhD", "O'Brien, PhD, Siobhán \"Shiv\"", "siobhan.o'brien"),
    ("Night (EU)", "#1 Support", "#1 Support (EU) * Night", "support.night"),
    ("Rosa & Diego", "Lab <Prototype>", "Rosa & Diego  Lab <Prototype>", "lab.prototype"),
    ("Götz", "Müller \\ Söhne", "Götz A+B=C; Müller \\ Söhne", "goetz.abc"),
    ("Zoë  Ann", "de la Cruz", "Zoë  Ann   de la Cruz", "zoe.delacruz"),
];
