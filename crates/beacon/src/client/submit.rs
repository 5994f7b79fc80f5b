//! The submissions of one beacon node's client.
//!
//! Guarantees: a submission is repeated only if it was not received; what the beacon node has already is taken.
//! Not here: retries (`core::step`), sending to several beacon nodes (`pool`).

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use trireme_core::ports::BeaconError;
use trireme_eth2::{
    ExecutionAddress, Fork, SignedValidatorRegistrationV1, ValidatorIndex, Versioned as _, VersionedAttestation,
    VersionedSignedAggregateAndProof, VersionedSignedProposal,
};

use super::{
    Client,
    forms::{BlockOnly, attestation_bodies, json_body},
};
use crate::{
    calls::Call,
    http::{Again, Answer, Ask, JSON, SSZ},
    known::is_known,
};

/// Registrations in one request (VC-47).
const REGISTRATIONS: usize = 500;

#[derive(Serialize)]
struct Preparation {
    validator_index: ValidatorIndex,
    fee_recipient: ExecutionAddress,
}

impl Client {
    fn submission(&self, call: Call, kind: &'static str, body: Bytes) -> Ask {
        Ask {
            method: Method::POST,
            body: Some((kind, body)),
            again: Again::Unsent,
            ..self.get(call)
        }
    }

    /// Sends it; `None` if the beacon node had it already.
    async fn hand_over(&self, ask: Ask) -> Result<Option<Answer>, BeaconError> {
        match self.http.ask(ask).await {
            Ok(answer) => Ok(Some(answer)),
            Err(refusal) if is_known(&refusal) => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(super) async fn send_attestations(&self, atts: Vec<VersionedAttestation>) -> Result<(), BeaconError> {
        for (fork, body) in attestation_bodies(Call::SubmitAttestations, &atts)? {
            let mut ask = self.submission(Call::SubmitAttestations, JSON, body);
            ask.headers.push(("eth-consensus-version", fork.name().to_owned()));
            self.hand_over(ask).await?;
        }
        Ok(())
    }

    pub(super) async fn send_block(&self, block: Arc<VersionedSignedProposal>) -> Result<(), BeaconError> {
        let call = if block.is_blinded() {
            Call::SubmitBlindedProposal
        } else {
            Call::SubmitProposal
        };
        let version = ("eth-consensus-version", block.fork().name().to_owned());
        let mut ask = self.submission(call, SSZ, Bytes::from(block.to_ssz()));
        ask.headers.push(version.clone());
        let result = match self.hand_over(ask).await {
            Err(BeaconError::Status { status: 415, .. }) => {
                let mut ask = self.submission(call, JSON, json_body(call, &BlockOnly(&block))?);
                ask.headers.push(version);
                self.hand_over(ask).await
            }
            result => result,
        };
        if result?.is_some_and(|answer| answer.status == StatusCode::ACCEPTED) {
            let slot = block.slot().0;
            tracing::warn!(
                slot,
                address = self.address(),
                "The beacon node sent the block on but could not validate it; it may not be included"
            );
        }
        Ok(())
    }

    pub(super) async fn send_aggregates(&self, all: Vec<VersionedSignedAggregateAndProof>) -> Result<(), BeaconError> {
        let call = Call::SubmitAggregates;
        let mut by_fork: BTreeMap<Fork, Vec<_>> = BTreeMap::new();
        for aggregate in &all {
            by_fork.entry(aggregate.fork()).or_default().push(aggregate.data_only());
        }
        for (fork, list) in by_fork {
            let mut ask = self.submission(call, JSON, json_body(call, &list)?);
            ask.headers.push(("eth-consensus-version", fork.name().to_owned()));
            self.hand_over(ask).await?;
        }
        Ok(())
    }

    /// In batches, of which each is tried.
    pub(super) async fn send_registrations(
        &self,
        registrations: Vec<SignedValidatorRegistrationV1>,
    ) -> Result<(), BeaconError> {
        let mut result = Ok(());
        for batch in registrations.chunks(REGISTRATIONS) {
            if let Err(e) = self.send(Call::SubmitRegistrations, &batch).await {
                result = Err(e);
            }
        }
        result
    }

    /// Sends a JSON document of which the answer says nothing.
    pub(super) async fn send<T: Serialize + Sync>(&self, call: Call, value: &T) -> Result<(), BeaconError> {
        let ask = self.submission(call, JSON, json_body(call, value)?);
        self.hand_over(ask).await.map(drop)
    }

    pub(super) async fn send_preparations(&self, prep: Vec<(ValidatorIndex, [u8; 20])>) -> Result<(), BeaconError> {
        let list: Vec<_> = prep
            .into_iter()
            .map(|(validator_index, to)| Preparation {
                validator_index,
                fee_recipient: ExecutionAddress(to),
            })
            .collect();
        let ask = self.submission(Call::Preparations, JSON, json_body(Call::Preparations, &list)?);
        // The newest preparation counts: sending it twice changes nothing.
        let ask = Ask {
            again: Again::Always,
            ..ask
        };
        self.http.ask(ask).await.map(drop)
    }
}
