//! Rows of the database, one file per table, nothing else.
//!
//! What a column means, and why a key is cut as it is, stands in the migrations.

#![expect(
    missing_docs,
    reason = "columns are explained where the table is made, in the migrations"
)]

pub mod account;
pub mod api_key;
pub mod approval;
pub mod audit_batch;
pub mod audit_checkpoint;
pub mod audit_entry;
pub mod audit_leaf;
pub mod audit_log;
pub mod audit_tile;
pub mod campaign;
pub mod click;
pub mod click_salt;
pub mod consent_proof;
pub mod consent_record;
pub mod conversion;
pub mod customer_key;
pub mod erasure;
pub mod evidence_pack;
pub mod evidence_pack_part;
pub mod goal;
pub mod hold;
pub mod key_rotation;
pub mod key_use;
pub mod link;
pub mod operator_grant;
pub mod order_key;
pub mod policy;
pub mod publisher;
pub mod purge_lease;
pub mod remains;
pub mod retention_rule;
pub mod retention_run;
pub mod revoked_token;
pub mod routing;
pub mod server_setting;
pub mod shop;
pub mod shop_secret;
pub mod stat_hour;
pub mod stat_refused;
pub mod stat_shadow;
pub mod stat_untracked;
pub mod subject_request;
pub mod subject_request_callback;
pub mod subject_request_event;
pub mod suppression;
pub mod tenant;
pub mod wrapped_key;
