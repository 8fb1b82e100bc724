//! The only outbound traffic. Promise: nothing is sent to an address that was not checked, redirects are not followed, and
//! an answer's body is not read, except for a key set, up to a size.

pub mod address;
pub mod callback;
pub mod checkpoint;
pub mod issuer_keys;
