//! Rows of the database, one file per table.
