//! Where a service lives: the `address` and `listen` values of the section `services` (architecture.md 8).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// Longest path of a Unix socket in bytes: 108 in the kernel, one of them the closing zero.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Where a service lives.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Address {
    /// `in-process`: linked into this program.
    #[default]
    InProcess,
    /// `unix:PATH`: another process of this machine.
    Unix(PathBuf),
    /// `https://host:port`: TLS with certificates of our own authority on both sides.
    Https {
        /// Name or address; IPv6 without brackets.
        host: String,
        /// Port; 0 only makes sense for listening.
        port: u16,
    },
}

/// The text is no address of a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Neither of the three forms.
    #[error("{0:?} is not \"in-process\", \"unix:PATH\" or \"https://host:port\"")]
    Form(String),
    /// A plain-text scheme.
    #[error("{0:?}: services talk over https or a Unix socket only")]
    PlainText(String),
    /// The kernel takes at most [`SOCKET_PATH_BYTES_MAX`] bytes.
    #[error("socket path {0:?} has {1} bytes, at most {SOCKET_PATH_BYTES_MAX} are possible")]
    PathTooLong(String, usize),
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let form = || BadAddress::Form(text.to_owned());
        if text == "in-process" {
            return Ok(Self::InProcess);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///run/x` is the same as `unix:/run/x`
            let path = match path.strip_prefix("//") {
                Some(rest) if rest.starts_with('/') => rest,
                Some(_) => return Err(form()),
                None => path,
            };
            if path.is_empty() || path.contains('\0') {
                return Err(form());
            }
            if path.len() > SOCKET_PATH_BYTES_MAX {
                return Err(BadAddress::PathTooLong(path.to_owned(), path.len()));
            }
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        if text.starts_with("http://") {
            return Err(BadAddress::PlainText(text.to_owned()));
        }
        let authority = text.strip_prefix("https://").ok_or_else(form)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = authority.rsplit_once(':').ok_or_else(form)?;
        let port = port.parse().map_err(|_| form())?;
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = match bracketed {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().map_err(|_| form())?.to_string(),
            None if is_host(host) => host.to_ascii_lowercase(),
            None => return Err(form()),
        };
        Ok(Self::Https { host, port })
    }
}

fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InProcess => formatter.write_str("in-process"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Self::Https { host, port } if host.contains(':') => write!(formatter, "https://[{host}]:{port}"),
            Self::Https { host, port } => write!(formatter, "https://{host}:{port}"),
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_read_and_written() {
        for text in ["in-process", "unix:/run/cc/archive.sock", "https://node7:8443", "https://[::1]:8443"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("unix:///run/a.sock".parse(), Ok(Address::Unix("/run/a.sock".into())));
        assert_eq!("unix:run/a.sock".parse(), Ok(Address::Unix("run/a.sock".into())));
        assert_eq!("https://Archive:1/".parse(), Ok(Address::Https { host: "archive".to_owned(), port: 1 }));
    }

    #[test]
    fn everything_else_is_refused_with_the_reason() {
        for text in
            ["", "unix:", "unix://a", "https://a", "https://a:b", "https://a/b:1", "https://:1", "tcp:a:1"]
        {
            assert_eq!(text.parse::<Address>(), Err(BadAddress::Form(text.to_owned())), "{text}");
        }
        assert!(matches!("http://a:1".parse::<Address>(), Err(BadAddress::PlainText(_))));
        let long = format!("unix:/{}", "x".repeat(107));
        assert!(matches!(long.parse::<Address>(), Err(BadAddress::PathTooLong(_, 108))));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            if let Ok(address) = text.parse::<Address>() {
                proptest::prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
            }
        }

        #[test]
        fn every_host_and_port_is_read_back(host in "[a-z0-9][a-z0-9.-]{0,30}", port: u16, v6: std::net::Ipv6Addr) {
            for host in [host, v6.to_string()] {
                let address = Address::Https { host, port };
                proptest::prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
            }
        }
    }
}
