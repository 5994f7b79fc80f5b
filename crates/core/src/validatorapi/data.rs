#![allow(missing_docs, dead_code)]
use std::collections::BTreeMap;
use trireme_eth2::*;
use crate::{ids::*, step::*};
#[derive(Debug, Clone, PartialEq)]
pub struct SignedRandao { pub epoch: Epoch, pub signature: BlsSignature }
#[derive(Debug, Clone, PartialEq)]
pub enum SignedData { Attestation(VersionedAttestation), Proposal(VersionedSignedProposal), Randao(SignedRandao) }
#[derive(Debug, Clone, PartialEq)]
pub struct ParSignedData { pub data: SignedData, pub share: ShareIdx }
#[derive(Debug, Clone, PartialEq)]
pub struct ParSignedDataSet(pub BTreeMap<PubKey, ParSignedData>);
impl Subjects for ParSignedDataSet { fn subjects(&self) -> Vec<Subject> { Vec::new() } }
