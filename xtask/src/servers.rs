//! Servers that tests start for themselves: their programs, found or installed.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::debian;

/// A program that a test starts.
#[derive(Debug)]
struct Server {
    program: &'static str,
    /// Debian's package with it.
    package: &'static str,
    /// Where tests look for it.
    variable: &'static str,
}

const SERVERS: [Server; 4] = [
    Server {
        program: "redis-server",
        package: "redis-server",
        variable: "ONEROUTER_TEST_REDIS_SERVER",
    },
    Server {
        program: "nginx",
        package: "nginx-light",
        variable: "ONEROUTER_TEST_NGINX",
    },
    Server {
        program: "pgbouncer",
        package: "pgbouncer",
        variable: "ONEROUTER_TEST_PGBOUNCER",
    },
    Server {
        program: "docker-registry",
        package: "docker-registry",
        variable: "ONEROUTER_TEST_DOCKER_REGISTRY",
    },
];

/// One that was found.
#[derive(Debug)]
pub(crate) struct Found {
    program: &'static str,
    /// Where tests look for it.
    pub(crate) variable: &'static str,
    pub(crate) path: OsString,
}

/// Debian keeps servers where the `PATH` of ordinary users does not lead.
const FURTHER: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// All of them, after installing what is missing where that is possible.
pub(crate) fn provide_all() -> Result<Vec<Found>> {
    provide(&SERVERS.each_ref().map(|server| server.program))
}

/// Those of these names.
pub(crate) fn provide(programs: &[&str]) -> Result<Vec<Found>> {
    let servers = || {
        SERVERS
            .iter()
            .filter(|server| programs.contains(&server.program))
    };
    let missing: Vec<&str> = servers()
        .filter(|server| server.find().is_none())
        .map(|server| server.package)
        .collect();
    if !missing.is_empty() {
        debian::install(&missing).with_context(|| format!("this needs {}", missing.join(", ")))?;
    }
    let found = servers().map(|server| {
        let path = server
            .find()
            .with_context(|| format!("{} is installed, but not found", server.program))?;
        Ok(Found {
            program: server.program,
            variable: server.variable,
            path: path.into_os_string(),
        })
    });
    found.collect()
}

/// Where one of them is.
pub(crate) fn path<'a>(found: &'a [Found], program: &str) -> Result<&'a OsStr> {
    let found = found.iter().find(|found| found.program == program);
    found
        .map(|found| found.path.as_os_str())
        .with_context(|| format!("no {program}"))
}

impl Server {
    /// What somebody has named, else the first one in the folders.
    fn find(&self) -> Option<PathBuf> {
        let named = env::var_os(self.variable).map(PathBuf::from);
        named.or_else(|| {
            let path = env::var_os("PATH").unwrap_or_default();
            let folders = env::split_paths(&path).chain(FURTHER.map(PathBuf::from));
            find_in(folders, self.program)
        })
    }
}

fn find_in(folders: impl Iterator<Item = PathBuf>, program: &str) -> Option<PathBuf> {
    folders
        .map(|folder| folder.join(program))
        .find(|path: &PathBuf| Path::is_file(path))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_first_folder_that_has_it_wins() {
        let parent = tempfile::tempdir().unwrap();
        let folders = ["a", "b", "c"].map(|name| parent.path().join(name));
        for folder in &folders {
            fs::create_dir(folder).unwrap();
        }
        assert_eq!(find_in(folders.clone().into_iter(), "server"), None);
        for folder in &folders[1..] {
            fs::write(folder.join("server"), "").unwrap();
        }
        let found = find_in(folders.clone().into_iter(), "server");
        assert_eq!(found, Some(folders[1].join("server")));
    }
}
