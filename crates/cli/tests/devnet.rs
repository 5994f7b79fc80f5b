//! The one test that runs a real cluster in real time: the binary itself, its children, and everything between.

#[cfg(all(test, feature = "devnet"))]
mod tests {
    use std::process::Command;

    use serde_json::{Value, json};

    #[test]
    fn a_local_cluster_performs_every_duty_and_says_so_in_one_object() {
        let flags = "--nodes=4 --validators=4 --slots=4 --slot-duration=6 --slots-per-epoch=4 --output=json";
        let run = Command::new(env!("CARGO_BIN_EXE_trireme"))
            .arg("devnet")
            .args(flags.split(' '))
            .output()
            .unwrap();
        let (stdout, stderr) = (
            String::from_utf8_lossy(&run.stdout),
            String::from_utf8_lossy(&run.stderr),
        );
        let last = stdout.lines().last().unwrap_or_default();
        let object: Value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{e} in {last:?}\n{stderr}"));
        let expected = [
            ("attester", 4),
            ("proposer", 4),
            ("aggregator", 4),
            ("sync_message", 16),
            ("exit", 1),
        ];
        for (duty, count) in expected {
            let duty = &object["duties"][duty];
            assert_eq!(
                (&duty["expected"], &duty["completed"]),
                (&json!(count), &json!(count)),
                "{object}\n{stderr}"
            );
            assert_eq!(duty["missed"], json!([]));
            assert!(duty["offset_ms"]["max"].as_u64().unwrap() < 6000);
        }
        let reads = object["bn_reads"].as_object().unwrap();
        assert!(
            reads["GET /eth/v1/validator/attestation_data"]["per_slot"]
                .as_f64()
                .unwrap()
                > 0.0
        );
        assert_eq!(object["slashable"], json!([]));
        let nodes = object["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 4);
        for node in nodes {
            assert_eq!(
                (&node["implementation"], &node["restarts"]),
                (&json!("trireme"), &json!(0))
            );
            assert!(node["cpu_seconds"].as_f64().unwrap() > 0.0 && node["max_rss_kib"].as_u64().unwrap() > 0);
        }
        assert!(run.status.success(), "{stderr}");
    }

    #[test]
    fn a_plan_that_would_lose_duties_is_refused_before_anything_starts() {
        let flags = "--nodes=4 --kill=1@2 --kill=2@3";
        let run = Command::new(env!("CARGO_BIN_EXE_trireme"))
            .arg("devnet")
            .args(flags.split(' '))
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("only 2 of 4 nodes run, and duties need 3"), "{stderr}");
    }
}
