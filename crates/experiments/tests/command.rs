//! `cei-experiments` as `cargo xtask` calls it.

use std::process::{Command, Output};

fn experiments(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_cei-experiments")).args(arguments).output()
}

/// `cargo xtask` passes names on: a study that is renamed here must be renamed there.
#[test]
fn every_study_of_xtask_is_there() -> std::io::Result<()> {
    let studies =
        ["prepare", "reproduce", "bench", "inference-bench", "ablation", "mixing", "chbrclf"];
    for study in studies.into_iter().chain(["smoke"]) {
        let output = experiments(&[study, "--help"])?;
        assert!(output.status.success(), "{study}");
    }
    let main = include_str!("../../../xtask/src/main.rs");
    for study in studies {
        assert!(main.contains(&format!("(\"{study}\").run(")), "{study}");
    }
    assert_eq!(experiments(&["no-such-study"])?.status.code(), Some(2));
    Ok(())
}

#[test]
fn a_program_that_does_not_exist_is_named() -> std::io::Result<()> {
    let output = experiments(&["prepare", "--quick", "--cei", "no/such/cei"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("no/such/cei"), "{said}");
    Ok(())
}
