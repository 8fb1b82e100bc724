//! For whom something is read or written.

/// One tenant, or the server itself. Nothing is read or written without one.
///
/// On PostgreSQL it is a wall of its own beside the tenant that every statement names: what lies outside is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TenantScope {
    /// What carries this number; 0 is what belongs to the server alone, its log and its operator's keys.
    Only(i64),
    /// Every tenant: the operator's commands, start-up, and work that goes over all of them.
    Server,
}

impl TenantScope {
    /// The scope of whoever manages objects: an operator's, which bears the number 0, takes in every tenant's row.
    pub fn managing(number: i64) -> Self {
        match number {
            0 => TenantScope::Server,
            tenant => TenantScope::Only(tenant),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_operator_manages_every_tenant() {
        assert_eq!(TenantScope::managing(0), TenantScope::Server);
        assert_eq!(TenantScope::managing(1), TenantScope::Only(1));
        assert_eq!(TenantScope::managing(-1), TenantScope::Only(-1));
    }
}
