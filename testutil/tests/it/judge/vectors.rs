//! Roots and domains of the judge against data from elsewhere.
