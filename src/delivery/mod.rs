//! The only outbound traffic. Promise: nothing is sent to an address that was not checked, redirects are not followed, and
//! an answer's body is not read.

pub mod address;
pub mod checkpoint;
