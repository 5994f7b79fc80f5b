//! The clients against servers that check what they get, and that fail in every way a server can.

#[cfg(test)]
mod api;
#[cfg(test)]
mod execution;
#[cfg(test)]
mod keymanager;

#[cfg(test)]
mod material {
    //! Definitions, locks and keys to send.

    use trireme_cluster::{
        Addresses, Definition, Lock, Network, Networks, Version,
        create::{Request, create},
        invite::{Invitation, Invited},
    };
    use trireme_keys::{Enr, EnrAddress, IdentityKey};

    pub(crate) const ADDRESS: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

    pub(crate) fn hoodi() -> Network {
        Networks::known().by_name("hoodi").unwrap().clone()
    }

    pub(crate) fn key(n: u8) -> IdentityKey {
        IdentityKey::from_bytes(&[n; 32]).unwrap()
    }

    pub(crate) fn invitation(version: Version) -> Invitation {
        let record = |n| Enr::create(&key(n), EnrAddress::default()).to_string();
        Invitation {
            name: "remote".to_owned(),
            version,
            invited: Invited::Records((1..=3).map(record).collect()),
            threshold: 2,
            validators: vec![Addresses {
                fee_recipient: ADDRESS.to_owned(),
                withdrawal: ADDRESS.to_owned(),
            }],
            network: hoodi(),
            algorithm: "default".to_owned(),
            deposit_amounts: None,
            consensus_protocol: String::new(),
            target_gas_limit: 60_000_000,
            compounding: false,
            uuid: "0194FDC2-FA2F-4CC0-81D3-FF12045B73C8".to_owned(),
            timestamp: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    /// Signed by its creator.
    pub(crate) fn definition() -> Definition {
        let mut definition = invitation(Version::V1_10).definition().unwrap();
        definition.sign_as_creator(&key(9), hoodi().chain_id).unwrap();
        definition
    }

    pub(crate) fn lock() -> Lock {
        let mut next = 0_u8;
        let mut fill = |bytes: &mut [u8]| {
            for byte in bytes {
                next = next.wrapping_mul(5).wrapping_add(31);
                *byte = next;
            }
        };
        let request = Request {
            definition: invitation(Version::V1_10).definition().unwrap(),
            nodes: 3,
            network: hoodi(),
            existing: None,
            registration_time: hoodi().genesis_time,
        };
        create(&request, &mut fill).unwrap().lock
    }
}
