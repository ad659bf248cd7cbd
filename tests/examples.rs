//! The short examples at work in the rig; the longer ones have tests of their own.

mod rig;

use std::path::Path;

use leasehold::kms::Connector;
use rig::desktop::Desktop;
use rig::{Program, VIVE, example, inside};

#[test]
fn vblanks_are_waited_for_in_twenty_lines() {
    inside("vblanks_are_waited_for_in_twenty_lines", VIVE, || {
        let desktop = Desktop::light();
        let monitor = Connector::read(&desktop.card, desktop.pipeline.connector, false).unwrap();
        let period_ns = 1e9 / monitor.preferred_mode().unwrap().hz();
        let outcome = example("vblank").output().unwrap();
        assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
        let text = String::from_utf8(outcome.stdout).unwrap();
        let vblanks: Vec<Vec<f64>> = text
            .lines()
            .map(|line| line.split(' ').map(|number| number.parse().unwrap()).collect())
            .collect();
        assert_eq!(vblanks.len(), 100, "{text}");
        assert!(vblanks.windows(2).all(|pair| pair[1][0] > pair[0][0]), "{text}");
        let (first, last) = (&vblanks[0], &vblanks[99]);
        let measured_ns = (last[1] - first[1]) / (last[0] - first[0]);
        assert!((measured_ns / period_ns - 1.0).abs() < 1e-3, "{measured_ns} ns, the mode's {period_ns}");
    });
}

#[test]
fn a_lessor_leases_to_whom_its_policy_allows() {
    inside("a_lessor_leases_to_whom_its_policy_allows", VIVE, || {
        let allowed = example("lessee").get_program().to_owned();
        let allowed = Path::new(&allowed).canonicalize().unwrap();
        let stranger = Path::new("/tmp/stranger");
        std::fs::copy(&allowed, stranger).unwrap();
        let policy = Path::new("/tmp/policy.toml");
        let rule =
            format!("[[rule]]\noutcome = \"allow\"\nuser = 0\nexecutable = \"{}\"\n", allowed.display());
        std::fs::write(policy, rule).unwrap();

        let lessor = Program::start(example("lessor").arg(policy));
        lessor.event("offered");
        let mut refused = std::process::Command::new(stranger).args(["--frames", "1"]).spawn().unwrap();
        assert_eq!(lessor.event("denied")["pid"], refused.id());
        assert_eq!(refused.wait().unwrap().code(), Some(4));

        let mut lessee = Program::start(example("lessee").args(["--frames", "10"]));
        assert_eq!(lessor.event("granted")["pid"], lessee.pid().as_raw());
        lessee.line();
        assert_eq!(lessee.line()["flips"], 10);
        assert!(lessee.wait().success());
        lessor.event("ended");
    });
}
