//! Memory while a large directory is read, in a process of its own so that nothing else counts.

use std::process::Command;

use plumbline_directory::DirectorySource;
use plumbline_engine::port::{Cause, Import, ReadRequest, Source as _, Start};

use crate::server::Server;

const PEOPLE: usize = 200_000;
/// Growth that is allowed, in KiB.
const LIMIT: u64 = 64 * 1024;
const SERVER: &str = "PLUMBLINE_TEST_SERVER";

#[test]
fn two_hundred_thousand_entries_grow_the_reader_by_no_more_than_64_mib() {
    if let Ok(facts) = std::env::var(SERVER) {
        return tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(measure(&facts));
    }
    let server = Server::openldap(&[]);
    server.load_people(PEOPLE);
    let settings = [
        server.fact("OL_LDAPS_URL"),
        server.fact("OL_CA_FILE"),
        server.fact("OL_READER_DN"),
        server.fact("OL_READER_PASSWORD"),
    ];
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "memory::two_hundred_thousand_entries_grow_the_reader_by_no_more_than_64_mib",
            "--nocapture",
        ])
        .env(SERVER, settings.join("\n"))
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    println!("{printed}");
    assert!(printed.contains("1 passed"), "{printed}");
}

/// What the test does when it finds itself in the process of its own.
async fn measure(facts: &str) {
    let [url, ca, username, password] = facts.split('\n').collect::<Vec<_>>().try_into().unwrap();
    let mut settings = crate::scripted_server::settings(url, std::fs::read(ca).unwrap());
    settings.bind = plumbline_directory::Bind::Simple {
        username: username.to_owned(),
        password: password.to_owned().into(),
    };
    let mut source = DirectorySource::new(settings).unwrap();
    source.probe().await.unwrap();
    let names = [
        "uid",
        "cn",
        "sn",
        "givenname",
        "displayname",
        "mail",
        "employeenumber",
        "title",
        "l",
        "telephonenumber",
    ];
    let request = ReadRequest {
        attributes: names.map(str::to_owned).into(),
    };
    let before = resident("VmRSS:");
    let mut count = 0;
    source
        .read(&request, Start::Complete(Cause::First), &mut |event| {
            if let Import::Batch(entries) = event {
                count += entries.len();
            }
        })
        .await
        .unwrap();
    let growth = resident("VmHWM:") - before;
    println!("{count} entries grew the process by {growth} KiB at most");
    assert!(count > PEOPLE);
    assert!(growth <= LIMIT, "{growth} KiB");
}

/// A line of `/proc/self/status`, in KiB. The high-water mark is that of the whole life.
fn resident(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let value = status.lines().find_map(|l| l.strip_prefix(line)).unwrap();
    value.trim().trim_end_matches(" kB").parse().unwrap()
}
