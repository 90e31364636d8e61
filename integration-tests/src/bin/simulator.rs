//! The demo's simulator. `simulator site DIR` writes the cluster files, `simulator accounts` prints what `-add-user` needs,
//! `simulator play URL TOKEN` tells the history once and then keeps jobs and samples coming until it is ended;
//! `CC_SIM_JOBS` says how many finished jobs the history has.

use std::{env, fs, path::Path, process::ExitCode};

use cc_integration_tests::{
    client::Client,
    simulator::{
        clusters::{AURORA, NOVA},
        people::{ACCOUNTS, USERS},
        play,
    },
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["site", folder] => site(Path::new(folder)),
        ["accounts"] => {
            for (name, roles, password) in ACCOUNTS {
                println!("{name}:{roles}:{password}");
            }
            for name in USERS.iter().filter(|name| !ACCOUNTS.iter().any(|account| account.0 == **name)) {
                println!("{name}:user:{name}");
            }
            Ok(())
        }
        ["play", url, token] => {
            let client = Client::new(url).with_token(token);
            let say = |text: &str| println!("simulator: {text}");
            let finished = match env::var("CC_SIM_JOBS").map(|text| text.parse()) {
                Ok(Ok(count)) if count > 0 => count,
                Ok(_) => {
                    eprintln!("simulator: CC_SIM_JOBS must be a number from 1");
                    return ExitCode::FAILURE;
                }
                Err(_) => play::FINISHED,
            };
            match play::history(&client, finished, say).await {
                Ok(()) => {
                    println!("simulator: the history is complete");
                    play::live(&client, say).await
                }
                Err(error) => Err(error),
            }
        }
        _ => Err("usage: simulator site DIR | accounts | play URL TOKEN".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simulator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn site(folder: &Path) -> Result<(), String> {
    for cluster in [AURORA, NOVA] {
        let path = folder.join("var/job-archive").join(cluster.name);
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let file = path.join("cluster.json");
        fs::write(&file, cluster.json().to_string())
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}
