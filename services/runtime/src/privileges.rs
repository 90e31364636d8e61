//! From root to the service's own user, after the ports are bound and before anything else is opened
//! (config-and-cli.md 9.4, deployment.md D-14, D-25).
//!
//! The reference passes `main.user` and `main.group` in the wrong order. A configuration that works there only
//! because its author swapped them too is understood, with a warning.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, Gid, Group, Uid, User, access, getegid, geteuid, initgroups, setgid, setuid};

/// Why the user cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such user.
    #[error("dropping privileges: main.user: there is no user {0:?} on this machine")]
    NoUser(String),
    /// No such group.
    #[error("dropping privileges: main.group: there is no group {0:?} on this machine")]
    NoGroup(String),
    /// The account data cannot be read.
    #[error("dropping privileges: failed to look up {name:?}")]
    Lookup {
        /// User or group.
        name: String,
        /// The system's reason.
        source: Errno,
    },
    /// The kernel refused.
    #[error("dropping privileges: {step} failed")]
    Refused {
        /// Which system call.
        step: &'static str,
        /// The system's reason.
        source: Errno,
    },
    /// Root can be had back, so nothing was gained.
    #[error("dropping privileges: the process could become root again")]
    NotDropped,
    /// Files that must be written are not writable.
    #[error("user {user} may not write {}; give them to that user (chown) or correct main.user", list(paths))]
    NotWritable {
        /// Name or number of the user.
        user: String,
        /// All such files.
        paths: Vec<PathBuf>,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Where names of users and groups come from.
pub trait Accounts {
    /// User id and primary group of a user.
    fn user(&self, name: &str) -> Result<Option<(Uid, Gid)>, Errno>;
    /// Group id of a group.
    fn group(&self, name: &str) -> Result<Option<Gid>, Errno>;
}

/// The accounts of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

impl Accounts for Machine {
    fn user(&self, name: &str) -> Result<Option<(Uid, Gid)>, Errno> {
        Ok(User::from_name(name)?.map(|user| (user.uid, user.gid)))
    }

    fn group(&self, name: &str) -> Result<Option<Gid>, Errno> {
        Ok(Group::from_name(name)?.map(|group| group.gid))
    }
}

/// Whom to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The user with its name; `None`: stay.
    pub user: Option<(String, Uid)>,
    /// The group; `None`: stay.
    pub group: Option<Gid>,
    /// Whether the two names were in each other's place.
    pub swapped: bool,
}

/// Understands `main.user` and `main.group`; empty texts mean none.
pub fn plan(user: &str, group: &str, accounts: &impl Accounts) -> Result<Plan, Error> {
    let find_user = |name: &str| accounts.user(name).map_err(|source| lookup(name, source));
    let find_group = |name: &str| accounts.group(name).map_err(|source| lookup(name, source));
    if user.is_empty() {
        let gid = match group {
            "" => None,
            name => Some(find_group(name)?.ok_or_else(|| Error::NoGroup(name.to_owned()))?),
        };
        return Ok(Plan { user: None, group: gid, swapped: false });
    }
    if let Some((uid, primary)) = find_user(user)? {
        let gid = match group {
            "" => primary,
            name => find_group(name)?.ok_or_else(|| Error::NoGroup(name.to_owned()))?,
        };
        return Ok(Plan { user: Some((user.to_owned(), uid)), group: Some(gid), swapped: false });
    }
    let other_way = if group.is_empty() { None } else { find_user(group)?.zip(find_group(user)?) };
    let ((uid, _), gid) = other_way.ok_or_else(|| Error::NoUser(user.to_owned()))?;
    Ok(Plan { user: Some((group.to_owned(), uid)), group: Some(gid), swapped: true })
}

fn lookup(name: &str, source: Errno) -> Error {
    Error::Lookup { name: name.to_owned(), source }
}

/// Becomes user and group for good. Not started as root: nothing changes, with a warning if that leaves the process
/// somebody else. Call it while the process has one thread.
pub fn drop_to(plan: &Plan) -> Result<(), Error> {
    if plan.swapped {
        tracing::warn!(
            "main.user names a group and main.group a user; they are taken the other way round, swap them"
        );
    }
    let (own_user, own_group) = (geteuid(), getegid());
    if !own_user.is_root() {
        let other = plan.user.as_ref().is_some_and(|(_, uid)| *uid != own_user);
        if other || plan.group.is_some_and(|gid| gid != own_group) {
            tracing::warn!(
                "main.user and main.group have no effect: not started as root, staying user {own_user}, group {own_group}"
            );
        }
        return Ok(());
    }
    let refused = |step| move |source| Error::Refused { step, source };
    if let (Some((name, _)), Some(gid)) = (&plan.user, plan.group) {
        let name = CString::new(name.as_str()).map_err(|_| Error::NoUser(name.clone()))?;
        initgroups(&name, gid).map_err(refused("initgroups"))?;
    }
    if let Some(gid) = plan.group {
        setgid(gid).map_err(refused("setgid"))?;
    }
    let Some((name, uid)) = &plan.user else {
        if plan.group.is_some() {
            tracing::warn!("main.group without main.user: the process stays root");
        }
        return Ok(());
    };
    setuid(*uid).map_err(refused("setuid"))?;
    if !uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
        return Err(Error::NotDropped);
    }
    tracing::info!("now running as user {name}");
    Ok(())
}

/// Checks that this process may write all these files and directories, as far as they exist; of one that does not,
/// its closest existing directory.
pub fn check_writable<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<(), Error> {
    let mut refused: Vec<PathBuf> = Vec::new();
    for path in paths {
        let existing =
            path.ancestors().map(at_least_here).find(|path| access(*path, AccessFlags::F_OK).is_ok());
        let denied =
            |path: &&Path| matches!(access(*path, AccessFlags::W_OK), Err(Errno::EACCES | Errno::EROFS));
        if let Some(path) = existing.filter(denied)
            && !refused.iter().any(|known| known == path)
        {
            refused.push(path.to_owned());
        }
    }
    if refused.is_empty() {
        return Ok(());
    }
    let uid = geteuid();
    let name = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
    Err(Error::NotWritable { user: name, paths: refused })
}

fn at_least_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

#[cfg(test)]
mod tests;
