//! What the tracker learns of the sets that travel as events.

use crate::{
    data::{ParSignedDataSet, SignedDataSet, UnsignedDataSet},
    parsigdb::ThresholdSet,
    step::{Subject, Subjects},
};

impl Subjects for UnsignedDataSet {
    fn subjects(&self) -> Vec<Subject> {
        self.0.keys().copied().map(Subject::of).collect()
    }
}

impl Subjects for SignedDataSet {
    fn subjects(&self) -> Vec<Subject> {
        self.0.keys().copied().map(Subject::of).collect()
    }
}

impl Subjects for ThresholdSet {
    fn subjects(&self) -> Vec<Subject> {
        self.0.keys().copied().map(Subject::of).collect()
    }
}

impl Subjects for ParSignedDataSet {
    fn subjects(&self) -> Vec<Subject> {
        let one = |(validator, partial): (&crate::PubKey, &crate::data::ParSignedData)| Subject {
            validator: *validator,
            partial: partial.data.message_root().map(|root| (partial.share, root)),
        };
        self.0.iter().map(one).collect()
    }
}
