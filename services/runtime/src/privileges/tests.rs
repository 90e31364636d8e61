use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use rstest::rstest;

use super::*;
use crate::env::{Env as _, ProcessEnv};

/// Users `cc` (10, primary group 20) and `web` (11, 21); groups `cc` 20, `www` 22.
struct Few;

impl Accounts for Few {
    fn user(&self, name: &str) -> Result<Option<(Uid, Gid)>, Errno> {
        let found = match name {
            "cc" => Some((10, 20)),
            "web" => Some((11, 21)),
            "broken" => return Err(Errno::EIO),
            _ => None,
        };
        Ok(found.map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid))))
    }

    fn group(&self, name: &str) -> Result<Option<Gid>, Errno> {
        Ok(match name {
            "cc" => Some(Gid::from_raw(20)),
            "www" => Some(Gid::from_raw(22)),
            _ => None,
        })
    }
}

#[rstest]
#[case("", "", None, None, false)]
#[case("cc", "cc", Some(10), Some(20), false)]
#[case("web", "", Some(11), Some(21), false)]
#[case("web", "www", Some(11), Some(22), false)]
#[case("", "www", None, Some(22), false)]
#[case("www", "web", Some(11), Some(22), true)]
fn names_mean_what_they_say(
    #[case] user: &str,
    #[case] group: &str,
    #[case] uid: Option<u32>,
    #[case] gid: Option<u32>,
    #[case] swapped: bool,
) {
    let plan = plan(user, group, &Few).unwrap();
    assert_eq!(plan.user.map(|(_, uid)| uid.as_raw()), uid);
    assert_eq!(plan.group.map(Gid::as_raw), gid);
    assert_eq!(plan.swapped, swapped);
}

#[rstest]
#[case("nobody-there", "", "main.user: there is no user \"nobody-there\" on this machine")]
#[case("cc", "none", "main.group: there is no group \"none\" on this machine")]
#[case("", "none", "main.group: there is no group \"none\" on this machine")]
#[case("www", "none", "main.user: there is no user \"www\" on this machine")]
#[case("broken", "", "failed to look up \"broken\"")]
fn unknown_names_are_errors(#[case] user: &str, #[case] group: &str, #[case] text: &str) {
    let error = plan(user, group, &Few).unwrap_err();
    assert_eq!(error.to_string(), format!("dropping privileges: {text}"));
}

/// Runs in a process of its own, because it cannot be undone; does nothing otherwise.
#[test]
fn drop_in_child() {
    let Some(directory) = ProcessEnv.get("CC_TEST_DROP") else { return };
    let plan = Plan {
        user: Some(("nobody".to_owned(), Uid::from_raw(65534))),
        group: Some(Gid::from_raw(65534)),
        swapped: false,
    };
    drop_to(&plan).unwrap();
    assert_eq!((geteuid().as_raw(), getegid().as_raw()), (65534, 65534));
    let groups = nix::unistd::getgroups().unwrap();
    assert!(!groups.contains(&Gid::from_raw(0)), "{groups:?}");
    // A second time, now without rights: a warning, no error.
    drop_to(&Plan { user: Some(("root".to_owned(), Uid::from_raw(0))), ..plan }).unwrap();
    let directory = Path::new(&directory);
    let files =
        [directory.join("mine"), directory.join("not mine"), directory.join("closed/new"), "/proc".into()];
    let error = check_writable(files.iter().map(PathBuf::as_path)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("/not mine, ") && text.contains("/closed, /proc; give"), "{text}");
    assert!(text.starts_with("user nobody may not write "), "{text}");
}

#[test]
fn root_becomes_nobody_for_good() {
    if !geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for name in ["mine", "not mine"] {
        std::fs::write(directory.path().join(name), "").unwrap();
        std::fs::set_permissions(directory.path().join(name), std::fs::Permissions::from_mode(0o644))
            .unwrap();
    }
    std::fs::create_dir(directory.path().join("closed")).unwrap();
    std::os::unix::fs::chown(directory.path().join("mine"), Some(65534), None).unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "privileges::tests::drop_in_child", "--nocapture"])
        .env("CC_TEST_DROP", directory.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"), "{child:?}");
    assert_eq!(std::fs::metadata(directory.path().join("mine")).unwrap().uid(), 65534);
}

#[test]
fn writable_paths_pass_also_when_missing() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("a/b/c");
    check_writable([missing.as_path(), directory.path(), Path::new("relative")]).unwrap();
}
