//! Where operators' Prometheus looks for a node's metrics.

use clap::CommandFactory as _;
use trireme_cli::flags::Cli;

/// The port of `--monitoring-address` unless it is given.
fn port() -> String {
    let mut root = Cli::command();
    root.build();
    let run = root.find_subcommand("run").unwrap();
    let flag = run.get_arguments().find(|a| a.get_long() == Some("monitoring-address"));
    let default = flag.unwrap().get_default_values()[0].to_str().unwrap().to_owned();
    default.rsplit_once(':').unwrap().1.to_owned()
}

mod vectors {
    use super::port;

    #[test]
    fn scrape_config() {
        trireme_vectors::each("dashboards", "scrape-config", |e| {
            let text = e.text();
            let targets: Vec<&str> = text
                .lines()
                .filter(|line| line.trim_start().starts_with("- targets:"))
                .flat_map(|line| line.split('"'))
                .filter(|t| t.starts_with("charon:") || t.starts_with("node") && !t.starts_with("node-exporter"))
                .collect();
            assert!(!targets.is_empty());
            for target in targets {
                assert_eq!(target.rsplit_once(':').unwrap().1, port(), "{target}");
            }
            // The path is Prometheus' own default, `/metrics`.
            assert!(!text.contains("metrics_path"));
        });
    }
}
