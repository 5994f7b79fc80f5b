//! Registrations with builders, and exits: signed statements that are checked and kept, and change no assignment.
//!
//! Guarantees: a registration is taken only under its validator's key, for what the cluster's lock says, and not older
//! than the one before; it counts once per epoch. An exit is checked as a beacon node checks it, and not processed.

use std::time::Duration;

use trireme_eth2::{
    Epoch, Fork, SignedValidatorRegistrationV1, SignedVoluntaryExit, Slot, ValidatorIndex, hash_tree_root,
};

use super::{
    signing::{Claim, Purpose, domain, signing_root},
    state::{DutyKind, DutyOf, Judge, Refused, Taken, refuse},
};

/// How far ahead of the clock a registration's time may be, in seconds (builder-specs).
const AHEAD: u64 = 10;

impl Judge {
    // === Registrations

    /// What the signature of a registration must prove.
    #[must_use]
    pub fn claim_of_registration(&self, signed: &SignedValidatorRegistrationV1) -> Claim {
        let domain = domain(&self.chain, Purpose::Builder, Epoch(0));
        Claim {
            key: signed.message.pubkey,
            root: signing_root(hash_tree_root(&signed.message), domain),
            signature: signed.signature,
        }
    }

    /// Takes or refuses a registration. `genuine` is whether its claim holds.
    ///
    /// # Errors
    ///
    /// Says why it is not taken.
    pub fn register(
        &mut self,
        face: usize,
        now: Duration,
        signed: &SignedValidatorRegistrationV1,
        genuine: bool,
    ) -> Result<Taken, Refused> {
        self.admit(face, now, None, None)?;
        let key = signed.message.pubkey;
        let Some(validator) = self.index_of(&key) else {
            let refused = Refused(format!("a registration: the chain has no validator with the key {key}"));
            self.note(now, None, &refused);
            return Err(refused);
        };
        let duty = DutyOf {
            kind: DutyKind::BuilderRegistration,
            slot: self.chain.first_slot(self.chain.epoch(self.chain.slot_at(now))),
            validator,
        };
        self.weigh_registration(now, validator, signed, genuine)
            .inspect_err(|why| self.note(now, Some(duty), why))?;
        self.registered.insert(validator, signed.message);
        Ok(self.arrive(duty, now))
    }

    fn weigh_registration(
        &self,
        now: Duration,
        validator: ValidatorIndex,
        signed: &SignedValidatorRegistrationV1,
        genuine: bool,
    ) -> Result<(), Refused> {
        let message = &signed.message;
        if !genuine {
            return refuse(format!(
                "the registration of validator {}: its signature does not verify under its key",
                validator.0
            ));
        }
        if message.timestamp > now.as_secs().saturating_add(AHEAD) {
            return refuse(format!(
                "the registration of validator {} is of the future: {}",
                validator.0, message.timestamp
            ));
        }
        if let Some(before) = self.registered.get(&validator)
            && message.timestamp < before.timestamp
        {
            return refuse(format!(
                "the registration of validator {} is older than the one before: {} after {}",
                validator.0, message.timestamp, before.timestamp
            ));
        }
        let Some(wanted) = self.config.registrations.get(&validator) else {
            return Ok(());
        };
        if message.fee_recipient != wanted.fee_recipient {
            return refuse(format!(
                "wrong fee recipient: the cluster's of validator {} is {}, not {}",
                validator.0, wanted.fee_recipient, message.fee_recipient
            ));
        }
        if message.gas_limit != wanted.gas_limit {
            return refuse(format!(
                "wrong gas limit: the cluster's of validator {} is {}, not {}",
                validator.0, wanted.gas_limit, message.gas_limit
            ));
        }
        Ok(())
    }

    // === Exits

    /// What the signature of an exit must prove: since Deneb under the domain of Capella, whatever the epoch (EIP-7044).
    ///
    /// # Errors
    ///
    /// If the chain has no such validator. That is noted as a refusal.
    pub fn claim_of_exit(&mut self, now: Duration, signed: &SignedVoluntaryExit) -> Result<Claim, Refused> {
        let key = self.key_of(now, signed.message.validator_index)?;
        let current = self.chain.epoch(self.chain.slot_at(now));
        let epoch = if self.chain.fork_at(current).fork >= Fork::Deneb {
            current
        } else {
            signed.message.epoch
        };
        let domain = domain(&self.chain, Purpose::Exit, epoch);
        Ok(Claim {
            key,
            root: signing_root(hash_tree_root(&signed.message), domain),
            signature: signed.signature,
        })
    }

    /// Takes or refuses an exit; nobody leaves. `genuine` is whether its claim holds.
    ///
    /// # Errors
    ///
    /// Says why it is not taken.
    pub fn exit(
        &mut self,
        face: usize,
        now: Duration,
        signed: &SignedVoluntaryExit,
        genuine: bool,
    ) -> Result<Taken, Refused> {
        self.admit(face, now, None, None)?;
        let validator = signed.message.validator_index;
        let announced = self.announced_exits.get(&validator).copied();
        let duty = DutyOf {
            kind: DutyKind::Exit,
            slot: announced.unwrap_or_else(|| self.exit_slot(now, validator)),
            validator,
        };
        let current = self.chain.epoch(self.chain.slot_at(now));
        let why = if !genuine {
            format!(
                "the exit of validator {}: its signature does not verify under its key",
                validator.0
            )
        } else if signed.message.epoch > current {
            format!(
                "the exit of validator {} is of epoch {}, which has not begun",
                validator.0, signed.message.epoch.0
            )
        } else {
            return Ok(self.arrive(duty, now));
        };
        let refused = Refused(why);
        self.note(now, Some(duty), &refused);
        Err(refused)
    }

    /// The slot of an exit that nobody announced: that of its first arrival.
    fn exit_slot(&self, now: Duration, validator: ValidatorIndex) -> Slot {
        let earlier = self
            .arrivals
            .keys()
            .find(|duty| duty.kind == DutyKind::Exit && duty.validator == validator);
        earlier.map_or_else(|| self.chain.slot_at(now), |duty| duty.slot)
    }
}
