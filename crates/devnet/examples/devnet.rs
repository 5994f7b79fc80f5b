//! temporary
use trireme_devnet::DevnetConfig;
#[tokio::main]
async fn main() {
    let mut c = DevnetConfig::default();
    let mut args = std::env::args().skip(1);
    while let Some(a) = args.next() {
        let v = args.next().unwrap();
        match a.as_str() {
            "--slots" => c.slots = v.parse().unwrap(),
            "--slot-duration" => c.slot_seconds = v.parse().unwrap(),
            "--fork" => c.fork = v,
            "--dir" => c.dir = Some(v.into()),
            "--output" => c.output = v.parse().unwrap(),
            "--kill" => c.kills.push(v.parse().unwrap()),
            "--restart" => c.restarts.push(v.parse().unwrap()),
            "--charon" => c.charon = Some(v.into()),
            "--charon-nodes" => c.charon_nodes = v.parse().unwrap(),
            "--cluster" => c.cluster = Some(v.into()),
            "--binary" => c.binary = Some(v.into()),
            "--nodes" => c.nodes = v.parse().unwrap(),
            "--validators" => c.validators = v.parse().unwrap(),
            other => panic!("{other}"),
        }
    }
    match trireme_devnet::run(c).await {
        Ok(s) => std::process::exit(s.exit_code().into()),
        Err(e) => {
            eprintln!("error: {e}");
            std::process::exit(1)
        }
    }
}
