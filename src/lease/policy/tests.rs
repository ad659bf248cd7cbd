use super::*;
use crate::error::{Class, Classified};
use crate::lease::process::Process;
use proptest::prelude::*;
use std::path::Path;

const ANNA: Uid = Uid::from_raw(1000);
const BERT: Uid = Uid::from_raw(1001);

fn anna() -> Identity {
    Identity {
        process: Process::of(u32::MAX),
        uid: ANNA,
        gid: Gid::from_raw(1000),
        groups: Some(vec![Gid::from_raw(44)]),
        executable: Some("/usr/bin/monado-service".into()),
        unit: Unit::System("monado.service".into()),
    }
}

fn names(connectors: &[&str]) -> Vec<String> {
    connectors.iter().map(|name| name.to_string()).collect()
}

fn allows(rules: &[Rule], who: &Identity, connectors: &[&str]) -> bool {
    Policy::new(rules.to_vec()).judge(who, &names(connectors)) == Verdict::Allowed
}

fn why(policy: &Policy, who: &Identity, connectors: &[&str]) -> String {
    match policy.judge(who, &names(connectors)) {
        Verdict::Allowed => "allowed".into(),
        Verdict::Denied(why) => why,
    }
}

#[test]
fn whom_no_rule_fits_is_denied() {
    let bert = Identity { uid: BERT, ..anna() };
    assert_eq!(
        why(&Policy::default(), &anna(), &["DP-1"]),
        "no rule allows DP-1 to user 1000, group 1000, executable /usr/bin/monado-service, unit monado.service; \
         serve's --allow-uid or --policy can add one"
    );
    assert_eq!(why(&Policy::only_user(ANNA), &anna(), &["DP-1"]), "allowed");
    assert!(why(&Policy::only_user(ANNA), &bert, &["DP-1"]).starts_with("no rule allows DP-1 to user 1001"));
    assert_eq!(why(&Policy::only_user(ANNA).allow_user(BERT), &bert, &[]), "allowed");
}

#[test]
fn the_first_rule_that_fits_decides() {
    let allow = Rule { group: Some(Gid::from_raw(44)), ..Rule::allow() };
    let deny = Rule { user: Some(ANNA), ..Rule::deny() };
    assert!(allows(&[allow.clone(), deny.clone()], &anna(), &["DP-1"]));
    assert!(!allows(&[deny.clone(), allow.clone()], &anna(), &["DP-1"]));
    let others = Rule { user: Some(BERT), ..Rule::deny() };
    assert!(allows(&[others.clone(), allow.clone()], &anna(), &["DP-1"]));
    let policy = Policy::new(vec![others, deny, allow]);
    assert!(
        why(&policy, &anna(), &["DP-1"]).starts_with("rule 2 (deny user 1000) denies DP-1 to user 1000,")
    );
    assert_eq!(why(&policy.allow_user(ANNA), &anna(), &["DP-1"]), "allowed");
}

#[test]
fn a_rule_fits_who_meets_all_conditions() {
    let rule = Rule {
        user: Some(ANNA),
        group: Some(Gid::from_raw(44)),
        executable: Some("/usr/bin/monado-service".into()),
        unit: Some("monado.service".into()),
        ..Rule::allow()
    };
    assert!(allows(std::slice::from_ref(&rule), &anna(), &["DP-1"]));
    for other in [
        Identity { uid: BERT, ..anna() },
        Identity { groups: Some(vec![]), ..anna() },
        Identity { groups: None, ..anna() },
        Identity { executable: Some("/home/anna/monado-service".into()), ..anna() },
        Identity { executable: None, ..anna() },
        Identity { unit: Unit::System("ssh.service".into()), ..anna() },
        Identity { unit: Unit::None, ..anna() },
        Identity { unit: Unit::Unknown, ..anna() },
    ] {
        assert!(!allows(std::slice::from_ref(&rule), &other, &["DP-1"]), "{other}");
    }
    let of_gid = Rule { group: Some(Gid::from_raw(1000)), ..Rule::allow() };
    assert!(allows(&[of_gid], &Identity { groups: None, ..anna() }, &["DP-1"]));
}

#[test]
fn what_is_unknown_is_denied() {
    let deny = Rule { executable: Some("/usr/bin/game".into()), ..Rule::deny() };
    let policy = Policy::new(vec![deny, Rule::allow()]);
    assert_eq!(why(&policy, &anna(), &["DP-1"]), "allowed");
    let hidden = Identity { executable: None, ..anna() };
    let why = why(&policy, &hidden, &["DP-1"]);
    assert!(
        why.starts_with("rule 1 (deny executable /usr/bin/game) denies DP-1, as it may be about"),
        "{why}"
    );
    let unit = Rule { unit: Some("game.service".into()), ..Rule::deny() };
    let rules = [unit, Rule::allow()];
    assert!(allows(&rules, &Identity { unit: Unit::None, ..anna() }, &["DP-1"]));
    assert!(!allows(&rules, &Identity { unit: Unit::Unknown, ..anna() }, &["DP-1"]));
}

#[test]
fn a_users_own_unit_does_not_pass_for_the_systems() {
    let unit = Some("monado.service".to_string());
    let forged = Identity { unit: Unit::OfUser(ANNA, "monado.service".into()), ..anna() };
    let rule = Rule { unit: unit.clone(), ..Rule::allow() };
    assert!(allows(std::slice::from_ref(&rule), &anna(), &["DP-1"]));
    assert!(!allows(std::slice::from_ref(&rule), &forged, &["DP-1"]));
    assert!(allows(&[Rule { user: Some(ANNA), ..rule }], &forged, &["DP-1"]));
    assert!(!allows(&[Rule { unit, ..Rule::deny() }, Rule::allow()], &forged, &["DP-1"]));
}

#[test]
fn every_connector_of_a_request_has_to_be_allowed() {
    let on = |connector: &str, rule: Rule| Rule { connectors: Some(names(&[connector])), ..rule };
    let only = [on("DP-1", Rule::allow())];
    assert!(allows(&only, &anna(), &["DP-1"]));
    assert!(!allows(&only, &anna(), &["DP-2"]));
    assert!(!allows(&only, &anna(), &["DP-1", "DP-2"]));
    assert!(allows(&only, &anna(), &[]));
    assert!(allows(&[on("DP-1", Rule::allow()), on("DP-2", Rule::allow())], &anna(), &["DP-1", "DP-2"]));
    let but = [on("DP-1", Rule::deny()), Rule::allow()];
    assert!(!allows(&but, &anna(), &["DP-2", "DP-1"]));
    assert!(allows(&but, &anna(), &["DP-2"]));
    assert!(allows(&but, &anna(), &[]));
    assert!(!allows(&[], &anna(), &[]));
}

#[test]
fn knows_whether_others_could_be_let_in() {
    let others = |rules: &[Rule]| Policy::new(rules.to_vec()).could_allow_others_than(ANNA);
    let own = Rule { user: Some(ANNA), ..Rule::allow() };
    assert!(!others(&[]));
    assert!(!others(&[own.clone(), Rule::deny()]));
    assert!(others(&[own.clone(), Rule { user: Some(BERT), ..Rule::allow() }]));
    assert!(others(&[Rule { unit: Some("monado.service".into()), ..Rule::allow() }]));
    assert!(others(&[own.clone(), Rule::allow(), Rule::deny()]));
    assert!(!others(&[own, Rule::deny(), Rule::allow()]));
}

#[test]
fn reads_a_file() {
    let text = r#"
        [[rule]]
        outcome = "deny"
        user = 1001
        connectors = ["DP-1", "DP-2"]

        [[rule]]
        outcome = "allow"
        user = "root"
        group = 44
        executable = "/usr/bin/monado-service"
        unit = "monado.service"
    "#;
    let first = Rule { user: Some(BERT), connectors: Some(names(&["DP-1", "DP-2"])), ..Rule::deny() };
    let second = Rule {
        user: Some(Uid::from_raw(0)),
        group: Some(Gid::from_raw(44)),
        executable: Some("/usr/bin/monado-service".into()),
        unit: Some("monado.service".into()),
        ..Rule::allow()
    };
    assert_eq!(Policy::parse(text).unwrap(), Policy::new(vec![first, second]));
    assert_eq!(Policy::parse("").unwrap(), Policy::default());
}

#[test]
fn reads_the_example_of_the_documentation() {
    let documentation = include_str!("../../../docs/policy.md");
    let example = documentation.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    // Its names need not exist here.
    let policy = Policy::parse(&example.replace("\"anna\"", "1000").replace("\"vr\"", "44")).unwrap();
    assert_eq!(policy.rules().len(), 4);
    let bert = Identity { uid: BERT, ..anna() };
    let guest = Identity { uid: Uid::from_raw(1002), groups: Some(vec![]), unit: Unit::None, ..anna() };
    assert!(policy.judge(&anna(), &names(&["DP-1", "DP-2"])) == Verdict::Allowed);
    assert!(policy.judge(&bert, &names(&["DP-1"])) == Verdict::Allowed);
    assert!(why(&policy, &bert, &["DP-2"]).starts_with("no rule allows DP-2"));
    assert!(why(&policy, &guest, &["DP-1"]).starts_with("no rule allows DP-1"));
}

#[test]
fn bad_files_are_refused_by_line() {
    let rule = |line: &str| format!("# comment\n[[rule]]\noutcome = \"allow\"\n{line}\n");
    for (text, number, words) in [
        (rule("usr = 1000"), 4, "unknown field `usr`"),
        (rule("user = -1"), 4, "a number or a name"),
        (rule("user = \"nobody-here\""), 4, "user \"nobody-here\" is no user here; give"),
        (rule("group = \"nobody-here\""), 4, "group \"nobody-here\" is no group here; give"),
        (rule("executable = \"monado\""), 4, "executable \"monado\" is no full path; give"),
        (rule("executable = \"/usr/../bin/x\""), 4, "no full path"),
        (rule("unit = \"monado\""), 4, "ends in .service"),
        (rule("connectors = []"), 4, "leave the key out"),
        (rule("connectors = \"DP-1\""), 4, "expected"),
        (rule("outcome = \"deny\""), 4, "duplicate key"),
        ("[[rule]]\noutcome = \"maybe\"\n".into(), 2, "unknown variant `maybe`"),
        ("\n[[rule]]\nuser = 5\n".into(), 2, "missing field `outcome`"),
        ("\n[[rules]]\n".into(), 2, "unknown field `rules`"),
        ("rule = [\n".into(), 1, ""),
        ("[[rule]]\n\"a\\nb\" = 1\n".into(), 2, "a b"),
    ] {
        let error = Policy::parse(&text).unwrap_err();
        let sentence = error.to_string();
        assert!(sentence.contains(&format!("line {number}")), "{sentence}\n{text}");
        assert!(sentence.contains(words), "{sentence}\n{text}");
        assert!(!sentence.contains('\n') && sentence.contains("; "), "{sentence}");
        assert_eq!(error.class(), Class::Config);
    }
}

/// The way a rule is written in a file.
fn written(rule: &Rule) -> String {
    let mut text = "[[rule]]\n".to_string();
    let mut say = |key: &str, value: Option<String>| {
        text.extend(value.map(|value| format!("{key} = {value}\n")));
    };
    say("outcome", Some(format!("'{}'", if rule.outcome == Outcome::Allow { "allow" } else { "deny" })));
    say("user", rule.user.map(|uid| uid.to_string()));
    say("group", rule.group.map(|gid| gid.to_string()));
    say("executable", rule.executable.as_deref().map(Path::display).map(|path| format!("'{path}'")));
    say("unit", rule.unit.as_ref().map(|unit| format!("'{unit}'")));
    say("connectors", rule.connectors.as_ref().map(|names| format!("{names:?}")));
    text
}

fn any_rule() -> impl Strategy<Value = Rule> {
    (
        any::<bool>(),
        proptest::option::of(any::<u32>().prop_map(Uid::from_raw)),
        proptest::option::of(any::<u32>().prop_map(Gid::from_raw)),
        proptest::option::of("(/[a-zä. ]*[a-z])+".prop_map(PathBuf::from)),
        proptest::option::of("[a-z@0-9-]+\\.(service|scope)"),
        proptest::option::of(proptest::collection::vec("[A-Za-z]+-[0-9]", 1..4)),
    )
        .prop_map(|(allow, user, group, executable, unit, connectors)| {
            let outcome = if allow { Outcome::Allow } else { Outcome::Deny };
            Rule { outcome, user, group, executable, unit, connectors }
        })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*", key in "[a-z]+", value in "[\\[\\]{}\"'a-z0-9 ,=.\n-]*") {
        let _ = Policy::parse(&text);
        let _ = Policy::parse(&format!("[[rule]]\n{key} = {value}"));
        let _ = Policy::parse(&format!("[[rule]]\noutcome = 'allow'\nuser = {value}\n{text}"));
    }

    #[test]
    fn what_is_written_is_read_back(rules in proptest::collection::vec(any_rule(), 0..5)) {
        let text: String = rules.iter().map(written).collect();
        prop_assert_eq!(Policy::parse(&text).unwrap(), Policy::new(rules));
    }

    /// Rules behind the one that decides change nothing, and one in front that fits nobody does not either.
    #[test]
    fn only_the_rule_that_fits_matters(
        rules in proptest::collection::vec(any_rule(), 0..5),
        more in proptest::collection::vec(any_rule(), 0..5),
    ) {
        let whole = Policy::new([rules.clone(), vec![Rule::deny()], more].concat());
        let asked = Policy::new([rules, vec![Rule::deny()]].concat());
        prop_assert_eq!(whole.judge(&anna(), &[]), asked.judge(&anna(), &[]));
        prop_assert_eq!(whole.could_allow_others_than(ANNA), asked.could_allow_others_than(ANNA));
        if !asked.could_allow_others_than(BERT) {
            prop_assert_ne!(asked.judge(&anna(), &[]), Verdict::Allowed);
        }
    }
}
