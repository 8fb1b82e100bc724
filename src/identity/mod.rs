//! Tokens that say who calls: read strictly, verified with a key that was chosen beforehand, judged at a time that is an
//! argument. Promise: no I/O, no clock, no randomness; what is refused is refused with a reason that reveals nothing of keys.
//!
//! The order is part of the promise (RFC 8725, "JSON Web Token Best Current Practices"): the header is judged before any
//! cryptography, the signature before any claim counts, and a key has one family of algorithms whatever a header says.

pub mod claims;
pub mod fault;
pub mod keys;
pub mod members;
pub mod outside;
pub mod own;
pub mod throttle;
pub mod token;
