//! What people copy is valid: the examples, and the YAML and commands of the README.

use std::{fs, path::PathBuf, process::Command};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn validate(folder: &std::path::Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_plumbline"))
        .arg("validate")
        .arg("-f")
        .arg(folder)
        .output()
        .unwrap();
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

/// The fenced blocks of a language in a page.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    page.split(&fence)
        .skip(1)
        .filter_map(|rest| rest.split("```").next().map(str::to_owned))
        .collect()
}

#[test]
fn every_example_is_valid() {
    for name in [
        "minimal",
        "active-directory-to-entra",
        "openldap-to-entra",
        "two-forests",
        "staging",
        "quickstart",
    ] {
        let (valid, told) = validate(&repository().join("examples").join(name));
        assert!(valid, "examples/{name}: {told}");
    }
}

#[test]
fn a_folder_with_faults_is_refused_with_file_field_and_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "apiVersion: plumbline.dev/v1alpha1\nkind: SyncScope\nmetadata: {name: staff}\nspec:\n  connectorRef: {name: corp}\n  \
                    include: [{everything: {}}]\n  filter: \"(cn=\"\n";
    fs::write(folder.path().join("scope.yaml"), manifest).unwrap();
    let (valid, told) = validate(folder.path());
    assert!(!valid);
    for part in [
        "scope.yaml",
        "SyncScope staff",
        "InvalidLDAPFilter",
        "spec.filter",
    ] {
        assert!(told.contains(part), "`{part}` is missing in {told}");
    }
}

#[test]
fn the_yaml_of_the_readme_is_valid_beside_a_tenant() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let yaml = blocks(&readme, "yaml");
    assert_eq!(yaml.len(), 1, "the README shows one manifest");
    assert!(yaml[0].lines().count() <= 24, "about 20 lines of YAML");
    let tenant = fs::read_to_string(repository().join("examples/minimal/plumbline.yaml")).unwrap();
    let tenant = tenant
        .split("---\n")
        .find(|document| document.contains("kind: CloudTenant"))
        .unwrap()
        .to_owned();
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("readme.yaml"),
        format!("{}---\n{tenant}", yaml[0]),
    )
    .unwrap();
    let (valid, told) = validate(folder.path());
    assert!(valid, "{told}");
}

#[test]
fn the_output_in_the_readme_has_the_columns_of_the_kind() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let heading = readme
        .lines()
        .find(|line| line.starts_with("NAME ") && line.contains("QUARANTINED"))
        .unwrap();
    let definitions = plumbline_crds::all();
    let sync = definitions
        .iter()
        .find(|definition| definition.spec.names.kind == "DirectorySync")
        .unwrap();
    let columns = sync.spec.versions[0]
        .additional_printer_columns
        .as_ref()
        .unwrap();
    let shown = columns
        .iter()
        .filter(|column| column.priority.unwrap_or(0) == 0)
        .map(|column| column.name.to_uppercase());
    let expected: Vec<_> = std::iter::once("NAME".to_owned()).chain(shown).collect();
    assert_eq!(heading.split_whitespace().collect::<Vec<_>>(), expected);
}

#[test]
fn every_command_that_the_readme_names_exists() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    for command in ["sync", "plan", "validate"] {
        assert!(
            readme.contains(&format!("plumbline {command}")),
            "the README names `plumbline {command}`"
        );
        let output = Command::new(env!("CARGO_BIN_EXE_plumbline"))
            .args([command, "--help"])
            .output()
            .unwrap();
        assert!(output.status.success());
    }
    assert!(repository().join("tests/run").is_file());
    let aliases = fs::read_to_string(repository().join(".cargo/config.toml")).unwrap();
    assert!(readme.contains("cargo quickstart") && aliases.contains("quickstart ="));
}

#[test]
fn links_in_readme_and_docs_lead_somewhere() {
    let mut pages = vec![repository().join("README.md")];
    for folder in ["docs", "docs/guides", "docs/reference", "docs/decisions"] {
        let entries = fs::read_dir(repository().join(folder))
            .into_iter()
            .flatten();
        pages.extend(
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|end| end == "md")),
        );
    }
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.starts_with("http") || link.starts_with('#') {
                continue;
            }
            let target = page.parent().unwrap().join(link.split('#').next().unwrap());
            assert!(
                target.exists(),
                "{} links to {link}, which does not exist",
                page.display()
            );
        }
    }
}
