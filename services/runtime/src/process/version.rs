//! `-version` (config-and-cli.md 6.4).

use crate::metrics::COMMIT;

/// The version of the reference that this product takes the place of; tools compare it.
pub const REFERENCE_VERSION: &str = "1.5.4";

/// When this was built, if the build said so.
const BUILD_TIME: &str = match option_env!("CC_BUILD_TIME") {
    Some(time) => time,
    None => "unknown",
};

const BANNER: &str = r"
  ____ _           _             ____           _          _ _
 / ___| |_   _ ___| |_ ___ _ __ / ___|___   ___| | ___ __ (_) |_
| |   | | | | / __| __/ _ \ '__| |   / _ \ / __| |/ / '_ \| | __|
| |___| | |_| \__ \ ||  __/ |  | |__| (_) | (__|   <| |_) | | |_
 \____|_|\__,_|___/\__\___|_|   \____\___/ \___|_|\_\ .__/|_|\__|
                                                    |_|
";

/// The text. `cc-backend` shows a banner and the versions of its files; the other programs do not. The first lines
/// are the reference's, wrappers look for their labels.
pub fn version_text(program: &str) -> String {
    let backend = program == "cc-backend";
    let banner = if backend { BANNER } else { "" };
    let files = if backend { "SQL db version:\t11\nJob archive version:\t3\n" } else { "" };
    format!(
        "{banner}Version:\t{REFERENCE_VERSION}\nGit hash:\t{COMMIT}\nBuild time:\t{BUILD_TIME}\n{files}\
         Compatible with:\tcc-backend {REFERENCE_VERSION}\nProduct version:\t{}\n",
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_the_reference() {
        let text = version_text("cc-backend");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "");
        assert_eq!(lines[7], "Version:\t1.5.4");
        assert!(lines[8].starts_with("Git hash:\t") && lines[9].starts_with("Build time:\t"));
        assert_eq!(&lines[10..12], ["SQL db version:\t11", "Job archive version:\t3"]);
        assert!(version_text("cc-metric-store").starts_with("Version:\t1.5.4\nGit hash:\t"));
        assert!(!version_text("cc-auth").contains("SQL"));
    }
}
