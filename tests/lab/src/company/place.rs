//! Offices and their addresses, departments, titles: what surrounds a person.

/// One office of the company.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) name: &'static str,
    pub(crate) street: &'static str,
    pub(crate) city: &'static str,
    pub(crate) state: &'static str,
    pub(crate) postal_code: &'static str,
    /// ISO 3166-1 alpha-2 and numeric.
    pub(crate) country_code: &'static str,
    pub(crate) country_number: &'static str,
    pub(crate) country: &'static str,
    /// With country code.
    pub(crate) telephone: &'static str,
}

const fn office(parts: [&'static str; 9]) -> Office {
    let [
        name,
        street,
        city,
        state,
        postal_code,
        country_code,
        country_number,
        country,
        telephone,
    ] = parts;
    Office {
        name,
        street,
        city,
        state,
        postal_code,
        country_code,
        country_number,
        country,
        telephone,
    }
}

#[rustfmt::skip]
pub(crate) const OFFICES: &[Office] = &[
    office(["London", "12 King's Road", "London", "Greater London", "SW3 4RP", "GB", "826", "United Kingdom", "+44 20 7946"]),
    office(["Gaillimh", "7 Sráid na Siopaí", "Gaillimh", "Connacht", "H91 X2FD", "IE", "372", "Ireland", "+353 91 555"]),
    office(["München (HQ)", "Leopoldstraße 44, Hof \"B\" <2. OG>", "München", "Bayern", "80802", "DE", "276", "Germany", "+49 89 5550"]),
    office(["Paris", "8 rue de l'Église; esc. A + B", "Paris", "Île-de-France", "75015", "FR", "250", "France", "+33 1 9900"]),
    office(["Łódź", "ul. Piotrkowska 104", "Łódź", "łódzkie", "90-926", "PL", "616", "Poland", "+48 42 555"]),
    office(["Tromsø", "Storgata 25", "Tromsø", "Troms", "9008", "NO", "578", "Norway", "+47 77 55"]),
    office(["İzmir", "Kıbrıs Şehitleri Cd. No: 9", "İzmir", "Ege", "35220", "TR", "792", "Türkiye", "+90 232 555"]),
    office(["Đà Nẵng", "15 Bạch Đằng", "Đà Nẵng", "Đà Nẵng", "550000", "VN", "704", "Viet Nam", "+84 236 555"]),
    office(["Θεσσαλονίκη", "Τσιμισκή 28", "Θεσσαλονίκη", "Μακεδονία", "546 24", "GR", "300", "Greece", "+30 231 055"]),
    office(["Львів", "вул. Городоцька 36", "Львів", "Львівська область", "79007", "UA", "804", "Ukraine", "+380 32 255"]),
    office(["Пловдив", "ул. Иван Вазов 5", "Пловдив", "Пловдив", "4000", "BG", "100", "Bulgaria", "+359 32 55"]),
    office(["القاهرة", "شارع طلعت حرب 12", "القاهرة", "القاهرة", "11511", "EG", "818", "Egypt", "+20 2 2555"]),
    office(["תל אביב", "שדרות רוטשילד 45", "תל אביב", "תל אביב", "6578403", "IL", "376", "Israel", "+972 3 555"]),
    office(["पुणे", "एम. जी. रोड 21", "पुणे", "महाराष्ट्र", "411001", "IN", "356", "India", "+91 20 5550"]),
    office(["上海", "南京西路 1266 号", "上海", "上海市", "200040", "CN", "156", "China", "+86 21 5550"]),
    office(["東京", "千代田区丸の内1-9-2", "東京", "東京都", "100-6701", "JP", "392", "Japan", "+81 3 5550"]),
    office(["서울", "종로구 세종대로 175", "서울", "서울특별시", "03172", "KR", "410", "Korea, Republic of", "+82 2 555"]),
];

/// Organisational units below `Staff`: name, parent (by position, or none), department written on its people, titles.
#[rustfmt::skip]
pub(crate) const DEPARTMENTS: &[(&str, Option<usize>, &str, &[&str])] = &[
    ("Engineering", None, "Engineering", &["Engineer", "Senior Engineer", "Engineering Lead", "Architect (Cloud)"]),
    ("Research, Development & Labs", Some(0), "R&D", &["Scientist", "Lab Technician", "Prototype Engineer <A/B>"]),
    ("Platform", Some(0), "Platform", &["Site Reliability Engineer", "Systems Engineer", "C# / C++ Developer"]),
    ("Sales", None, "Sales", &["Account Manager", "Sales Engineer", "Vertriebsleiter \"Nord\""]),
    ("Nord + Süd; Ost = West", Some(3), "Sales (Regions)", &["Regional Manager", "Area Lead; Retail + Online"]),
    ("Finance", None, "Finance", &["Controller", "Accountant", "Payroll Specialist"]),
    ("People * Culture", None, "People & Culture", &["Recruiter", "People Partner", "Learning  Designer"]),
    ("#Support (24x7)", None, "Support", &["Support Agent", "Duty Manager", "Incident Commander"]),
    ("東京支社", None, "日本", &["マネージャー", "エンジニア", "営業"]),
];

pub(crate) const NOTES: &[&str] = &[
    "Works Mo, We & Fr; remote <home> + on site = 50 %",
    "#hotdesk  2 (near the \"kitchen\")",
    "Badge: A*7 \\ B*9",
    "On leave until further notice",
    "Ancien élève de l'École; parle français",
];

/// Kinds of employment.
pub(crate) const EMPLOYMENT: &[&str] =
    &["Employee", "Employee", "Employee", "Contractor", "Intern"];
