//! Restarts with, without and with a damaged state: `plumbline sync --state` as a process that is killed, on the embedded directory and
//! the lab tenant.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command},
    time::{Duration, Instant},
};

use plumbline_lab::{
    company::{Company, Dialect, ObjectId},
    tenant::DeltaReset,
};

use crate::folder::{Lab, READER};

/// The lab, with a tenant that is in step and a state that says so.
struct World {
    lab: Lab,
    company: Company,
}

/// A `plumbline sync` that is killed at the end.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Process {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl World {
    async fn new() -> Self {
        let world = Self {
            lab: Lab::start("Apply").await,
            company: Company::generate(7, 40, Dialect::OpenLdap),
        };
        let init = world.lab.plumbline(&["tenant", "init"]).await;
        assert!(init.status.success());
        world
    }

    async fn in_step() -> Self {
        let world = Self::new().await;
        let process = world.start();
        world.concluded(&process, 2).await;
        drop(process);
        world.lab.tenant.clear_log();
        world
    }

    fn state(&self, name: &str) -> PathBuf {
        self.lab.path("state").join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plumbline"));
        command
            .args(["sync", "--log-level", "info", "--state"])
            .arg(self.lab.path("state"))
            .arg("-f")
            .arg(self.lab.path("manifests"))
            .arg("--secrets")
            .arg(self.lab.path("secrets"));
        command
    }

    fn start(&self) -> Process {
        self.begin(self.command())
    }

    fn begin(&self, mut command: Command) -> Process {
        let log = self.lab.path("log");
        command.stderr(fs::File::create(&log).unwrap());
        command.stdout(fs::File::create(self.lab.path("out")).unwrap());
        let child = command.spawn().unwrap();
        Process { child, log }
    }

    /// Waits until the log says something so many times.
    async fn says(&self, process: &Process, what: &str, times: usize) {
        // Five worlds share the machine, and it may be busy.
        let deadline = Instant::now() + Duration::from_secs(240);
        while process.log().matches(what).count() < times {
            assert!(Instant::now() < deadline, "no `{what}`: {}", process.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn concluded(&self, process: &Process, cycles: usize) {
        self.says(process, "cycle concluded", cycles).await;
    }

    /// Whether the tenant, or the directory, is listed completely.
    fn listed(&self, process: &Process) -> (bool, bool) {
        let log = self.lab.tenant.log();
        let lists = log.iter().any(|request| {
            let path = request.path.split("/v1.0").last().unwrap_or_default();
            path.starts_with("/users?") && path.contains("$expand")
        });
        (lists, process.log().contains("everything is read"))
    }

    fn person(&self, at: usize) -> ObjectId {
        *self.company.people().keys().nth(at).unwrap()
    }

    fn rename(&mut self, at: usize, surname: &str) {
        let changes = self.company.rename(self.person(at), surname).unwrap();
        self.lab.directory.apply_all(&changes).unwrap();
    }

    fn has(&self, surname: &str) -> bool {
        let users = self.lab.tenant.users();
        users.iter().any(|user| user["surname"] == surname)
    }

    /// Starts, waits for a change to arrive, and returns what was listed and how many requests wrote.
    async fn restart(&mut self, surname: &str) -> ((bool, bool), usize) {
        self.rename(3, surname);
        self.lab.tenant.clear_log();
        let process = self.start();
        self.concluded(&process, 2).await;
        assert!(self.has(surname), "{}", process.log());
        (self.listed(&process), self.lab.writes())
    }

    /// A complete look finds nothing to do, and nobody twice.
    async fn is_converged(&self) {
        let plan = self.lab.plumbline(&["plan"]).await;
        let text = String::from_utf8_lossy(&plan.stdout);
        assert_eq!(plan.status.code(), Some(0), "{text}");
        let objects = self.lab.tenant.users().into_iter();
        let objects = objects.chain(self.lab.tenant.groups());
        let mark = |object: serde_json::Value| {
            let fields = object.as_object().unwrap().clone();
            let mut marks = fields.into_iter();
            let mark = marks.find(|(name, _)| name.ends_with("_plumblineOwner"));
            mark.and_then(|(_, mark)| mark.as_str().map(str::to_owned))
        };
        let mut marks: Vec<String> = objects.filter_map(mark).collect();
        let count = marks.len();
        marks.sort();
        marks.dedup();
        assert_eq!(marks.len(), count, "somebody is there twice");
        assert!(count > 40);
        let violations = self.lab.tenant.violations();
        assert!(violations.is_empty(), "{violations:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_from_its_state_and_lists_neither_directory_nor_tenant() {
    let mut world = World::in_step().await;
    for file in fs::read_dir(world.lab.path("state")).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.path());
        let bytes = fs::read(file.path()).unwrap();
        for secret in ["secret-of-the-reader", &world.lab.tenant.client_secret()] {
            assert!(
                !bytes
                    .windows(secret.len())
                    .any(|at| at == secret.as_bytes())
            );
        }
    }
    // Whoever listed everything would be cut off; a renamed person changes some groups too.
    world.lab.directory.limit_size(READER, Some(30));
    assert_eq!(world.restart("Lovelace").await, ((false, false), 1));
    world.lab.directory.limit_size(READER, None);

    // A second process keeps its hands off, and says so.
    let first = world.start();
    world.concluded(&first, 1).await;
    let second = world.start();
    world
        .says(&second, "another process keeps its state", 1)
        .await;
    drop((first, second));

    // What has grown old is asked for anew, and only what differs is written.
    world
        .lab
        .tenant
        .reset_delta_tokens(DeltaReset::ResyncRequired);
    assert_eq!(world.restart("Hopper").await, ((true, false), 1));
    world.lab.directory.limit_session_log(0);
    world.lab.directory.refuse_stale_cookies(true);
    assert_eq!(world.restart("Liskov").await, ((false, true), 1));
    world.is_converged().await;
}

/// What becomes of the state.
type Damage<'a> = &'a dyn Fn(&World);

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_state_one_full_cycle_writes_only_what_differs() {
    let mut world = World::in_step().await;
    let file = world.state("plumbline.db");
    let old = world.lab.path("old.db");
    // All that was committed is in the log; without it the file is older than the world.
    let process = world.start();
    world.concluded(&process, 1).await;
    drop(process);
    fs::copy(&file, &old).unwrap();
    let log = |world: &World| world.state("plumbline.db-wal");
    let damages: [(&str, Damage<'_>); 5] = [
        ("deleted", &|world| {
            fs::remove_dir_all(world.lab.path("state")).unwrap()
        }),
        ("truncated", &|world| {
            let _ = fs::remove_file(log(world));
            let size = fs::metadata(world.state("plumbline.db")).unwrap().len();
            let half = fs::OpenOptions::new()
                .write(true)
                .open(world.state("plumbline.db"));
            half.unwrap().set_len(size / 2).unwrap();
        }),
        ("garbage", &|world| {
            let _ = fs::remove_file(log(world));
            fs::write(world.state("plumbline.db"), vec![0x5a; 40_000]).unwrap();
        }),
        ("newer", &|world| {
            let _ = fs::remove_file(log(world));
            // `user_version` stands at byte 60 of the header.
            let mut bytes = fs::read(world.state("plumbline.db")).unwrap();
            bytes[60] = 0x7f;
            fs::write(world.state("plumbline.db"), bytes).unwrap();
        }),
        ("bits", &|world| {
            let _ = fs::remove_file(log(world));
            let mut bytes = fs::read(world.state("plumbline.db")).unwrap();
            for at in (4096 + 2000..bytes.len()).step_by(4096) {
                bytes[at] ^= 1;
            }
            fs::write(world.state("plumbline.db"), bytes).unwrap();
        }),
    ];
    for (name, damage) in damages {
        damage(&world);
        let (listed, writes) = world.restart(&format!("Was{name}")).await;
        assert_eq!((listed, writes), ((true, true), 1), "{name}");
    }
    // One that is older than the world goes on from there.
    fs::remove_dir_all(world.lab.path("state")).unwrap();
    fs::create_dir(world.lab.path("state")).unwrap();
    fs::copy(&old, &file).unwrap();
    let (_, writes) = world.restart("Older").await;
    assert_eq!(writes, 1);
    world.is_converged().await;
}

/// A sequence of numbers that look random (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }
}

/// Someone is hired or renamed, joins a group or leaves one. The same rounds change every world in the same way.
fn change(world: &mut World, round: usize) {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15 ^ (round as u64 + 1) << 20);
    let groups: Vec<ObjectId> = world.company.groups().keys().copied().collect();
    let units: Vec<ObjectId> = world.company.units().keys().copied().collect();
    let person = world.person(chance.below(40));
    let group = groups[chance.below(groups.len())];
    let company = &mut world.company;
    let changes = match chance.below(4) {
        0 => (company.hire(units[round % units.len()])).map(|(_, changes)| changes),
        1 => company.join(group, person),
        2 => company.quit(group, person),
        _ => company.rename(person, &format!("Round{round}")),
    };
    // Who is in a group cannot join it.
    if let Ok(changes) = changes {
        world.lab.directory.apply_all(&changes).unwrap();
    }
}

/// Changes, starts and kills, then runs to the end; what the tenant holds then, by name.
async fn killed(seed: u64, kills: usize) -> BTreeMap<String, serde_json::Value> {
    let mut world = World::in_step().await;
    let began = Instant::now();
    let process = world.start();
    world.concluded(&process, 1).await;
    let cycle = usize::try_from(began.elapsed().as_micros()).unwrap();
    drop(process);
    let mut chance = Chance(seed);
    for round in 0..ROUNDS {
        change(&mut world, round);
        if round < kills {
            let process = world.start();
            let micros = chance.below(cycle);
            tokio::time::sleep(Duration::from_micros(micros as u64)).await;
            drop(process);
        }
    }
    let process = world.start();
    world.concluded(&process, 3).await;
    drop(process);
    world.is_converged().await;
    let users = world.lab.tenant.users();
    let name = |id: &serde_json::Value| {
        let user = users.iter().find(|user| user["id"] == *id);
        user.map(|user| user["userPrincipalName"].clone())
    };
    let mut held = BTreeMap::new();
    for user in &users {
        let fields = [
            "accountEnabled",
            "displayName",
            "surname",
            "mail",
            "department",
        ];
        let fields = fields
            .map(|field| user[field].clone())
            .into_iter()
            .collect();
        held.insert(user["userPrincipalName"].to_string(), fields);
    }
    for group in world.lab.tenant.groups() {
        let members = group["members"].as_array().into_iter().flatten();
        let mut members: Vec<_> = members.filter_map(name).collect();
        members.sort_by_key(ToString::to_string);
        held.insert(group["displayName"].to_string(), members.into());
    }
    held
}

/// In each of four worlds.
const ROUNDS: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn killed_200_times_at_any_point_it_converges_to_the_same_end_with_nobody_twice() {
    let seeds = [0x2545_f491, 0x4f6c_dd1d, 0x1234_5677, 0x7654_3211];
    let killed = seeds.map(|seed| tokio::spawn(killed(seed, ROUNDS)));
    let unharmed = tokio::spawn(self::killed(1, 0)).await.unwrap();
    assert!(unharmed.len() > 50);
    for ended in killed {
        assert_eq!(ended.await.unwrap(), unharmed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_work_goes_on_in_memory_until_there_is_room_again() {
    let mut world = World::in_step().await;
    fs::remove_dir_all(world.lab.path("state")).unwrap();
    fs::create_dir(world.lab.path("state")).unwrap();
    // A disk of its own, in a mount namespace of its own.
    let mut command = Command::new("unshare");
    let state = world.lab.path("state");
    command.args(["-r", "-m", "sh", "-c"]);
    command.arg("mount -t tmpfs -o size=1m tmpfs \"$1\" && dd if=/dev/zero of=\"$1/ballast\" bs=1k count=980 2>/dev/null; shift; exec \"$@\"");
    command.arg("sh").arg(&state);
    let plumbline = world.command();
    command
        .arg(plumbline.get_program())
        .args(plumbline.get_args());
    let process = world.begin(command);
    world.concluded(&process, 1).await;
    world
        .says(&process, "the volume has no room for the state", 1)
        .await;
    world.rename(3, "Memory");
    world.concluded(&process, 4).await;
    assert!(world.has("Memory"));
    let shown = fs::read_to_string(world.lab.path("out")).unwrap();
    assert!(shown.contains("StateNotKept"), "{shown}");
    let inside = PathBuf::from(format!("/proc/{}/root", process.child.id()));
    let ballast = inside
        .join(state.strip_prefix("/").unwrap())
        .join("ballast");
    fs::remove_file(ballast).unwrap();
    world.says(&process, "state is kept again", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_syncs_of_one_connector_go_on_from_different_places_without_a_listing() {
    let mut world = World::new().await;
    let file = world.lab.path("manifests/all.yaml");
    let yaml = fs::read_to_string(&file).unwrap();
    let people = yaml.replace(
        "include: [{everything",
        "classes: [User]\n  include: [{everything",
    );
    let second = |suspend: bool| {
        format!(
            "{people}---\napiVersion: plumbline.dev/v1alpha1\nkind: SyncScope\nmetadata: {{name: groups}}\nspec:\n  connectorRef: {{name: corp}}\n  \
             classes: [Group]\n  include: [{{everything: {{}}}}]\n---\napiVersion: plumbline.dev/v1alpha1\nkind: DirectorySync\nmetadata: {{name: groups}}\n\
             spec: {{tenantRef: {{name: lab}}, mode: Apply, suspend: {suspend}, scopes: [{{name: groups}}]}}\n"
        )
    };
    fs::write(&file, second(false)).unwrap();
    let process = world.start();
    world.concluded(&process, 6).await;
    drop(process);
    let groups = world.lab.tenant.groups().len();
    assert!(groups > 3 && world.lab.tenant.users().len() > 30);

    // The one goes on while the other rests, and misses a group.
    fs::write(&file, second(true)).unwrap();
    let member = world.person(1);
    let unit = *world.company.units().keys().next().unwrap();
    let (_, changes) = world
        .company
        .found_group("Latecomers", unit, vec![member])
        .unwrap();
    world.lab.directory.apply_all(&changes).unwrap();
    world.rename(3, "Lovelace");
    let process = world.start();
    world.concluded(&process, 2).await;
    drop(process);
    assert!(world.has("Lovelace"));
    assert_eq!(world.lab.tenant.groups().len(), groups);

    fs::write(&file, second(false)).unwrap();
    let (listed, writes) = world.restart("Hopper").await;
    assert_eq!(listed, (false, false));
    assert!(writes >= 1);
    let process = world.start();
    world.concluded(&process, 4).await;
    assert_eq!(world.lab.tenant.groups().len(), groups + 1);
    assert!(
        !process.log().contains("everything is read"),
        "{}",
        process.log()
    );
}
