//! The README's first command works, to its end.

use std::process::Command;

#[test]
fn the_quickstart_applies_its_plan_and_shows_every_change_arrive() {
    let output = Command::new(env!("CARGO_BIN_EXE_plumbline-quickstart"))
        .args(["--exit", "--people", "120"])
        .output()
        .unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{stdout}\n{stderr}");
    for told in [
        "create",
        "directorysync.plumbline.dev/staff",
        "hired",
        "renamed",
        "left",
        "joined",
        "users and",
    ] {
        assert!(
            stdout.contains(told),
            "`{told}` is missing in\n{stdout}\n{stderr}"
        );
    }
}
