//! Configured objects: what is the same for every kind, written once.
//!
//! A kind says which columns it has and how a row reads; finding, paging, numbering, inserting and replacing follow from
//! that. Rows name other objects by number; reading looks their ids up, so that a value carries both. Rows are never
//! deleted, so the next number is one more than the highest.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Select, SqlErr,
};
use uuid::Uuid;

use super::connect::StoreError;
use super::tx::{Reader, Tx};
use crate::domain::approval::Approval;
use crate::domain::campaign::{Campaign, Publisher, Reference, Shop, User};
use crate::domain::draft::Name;

/// The column type of a kind.
pub type ColumnOf<T> = <<T as Kept>::Entity as EntityTrait>::Column;
/// The row type of a kind.
pub type RowOf<T> = <<T as Kept>::Entity as EntityTrait>::Model;

/// The columns that every kind has.
pub struct Columns<C> {
    /// The tenant's number.
    pub tenant: C,
    /// The object's number.
    pub number: C,
    /// The id that is shown outside.
    pub id: C,
}

/// A kind of object that is kept in a table of its own.
pub trait Kept: Sized + Send + Sync {
    /// Its table.
    type Entity: EntityTrait;
    /// Its row, to be written.
    type Row: ActiveModelTrait<Entity = Self::Entity> + Send;
    /// Whether it is the tenant itself, which belongs to nobody but the server.
    const IS_TENANT: bool = false;

    /// Its columns.
    fn columns() -> Columns<ColumnOf<Self>>;
    /// The row that this is.
    fn row(&self) -> Result<Self::Row, StoreError>;
    /// Which other objects a row names.
    fn names(_row: &RowOf<Self>) -> Vec<(Target, i64)> {
        Vec::new()
    }
    /// The value that a row is.
    fn read(row: RowOf<Self>, ids: &Ids) -> Result<Self, StoreError>;
    /// The parameter at fault when the database says that a row like this is there already.
    fn taken(_constraint: &str) -> &'static str {
        "slug"
    }
}

/// A kind that has a name within its tenant.
pub trait Named: Kept {
    /// The column with the name.
    fn name() -> ColumnOf<Self>;
}

/// The kinds that rows name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// A shop.
    Shop,
    /// A publisher.
    Publisher,
    /// A campaign.
    Campaign,
    /// A user.
    User,
    /// An approval.
    Approval,
}

/// The ids of the objects that some rows name.
#[derive(Debug, Default)]
pub struct Ids(HashMap<(Target, i64), Uuid>);

impl Ids {
    /// The object with this number; its absence is a broken row of the table that names it.
    pub(super) fn of(
        &self,
        target: Target,
        number: i64,
        table: &'static str,
    ) -> Result<Reference, StoreError> {
        let column = match target {
            Target::Shop => "shop",
            Target::Publisher => "publisher",
            Target::Campaign => "campaign",
            Target::User => "account",
            Target::Approval => "approval",
        };
        let id = self.0.get(&(target, number)).copied();
        let id = id.ok_or(StoreError::Inconsistent { table, column })?;
        Ok(Reference { number, id })
    }

    /// The same where a row may name none.
    pub(super) fn maybe(
        &self,
        target: Target,
        number: Option<i64>,
        table: &'static str,
    ) -> Result<Option<Reference>, StoreError> {
        number.map(|number| self.of(target, number, table)).transpose()
    }

    async fn load<C: ConnectionTrait>(
        connection: &C,
        tenant: i64,
        wanted: BTreeSet<(Target, i64)>,
    ) -> Result<Self, StoreError> {
        let mut by_target: BTreeMap<Target, Vec<i64>> = BTreeMap::new();
        for (target, number) in wanted {
            by_target.entry(target).or_default().push(number);
        }
        let mut ids = HashMap::new();
        for (target, numbers) in by_target {
            let found = match target {
                Target::Shop => ids_of::<Shop, C>(connection, tenant, numbers).await?,
                Target::Publisher => ids_of::<Publisher, C>(connection, tenant, numbers).await?,
                Target::Campaign => ids_of::<Campaign, C>(connection, tenant, numbers).await?,
                Target::User => ids_of::<User, C>(connection, tenant, numbers).await?,
                Target::Approval => ids_of::<Approval, C>(connection, tenant, numbers).await?,
            };
            ids.extend(found.into_iter().map(|(number, id)| ((target, number), id)));
        }
        Ok(Self(ids))
    }
}

async fn ids_of<T: Kept, C: ConnectionTrait>(
    connection: &C,
    tenant: i64,
    numbers: Vec<i64>,
) -> Result<Vec<(i64, Uuid)>, StoreError> {
    let columns = T::columns();
    let found = T::Entity::find()
        .select_only()
        .column(columns.number)
        .column(columns.id)
        .filter(columns.tenant.eq(tenant))
        .filter(columns.number.is_in(numbers))
        .into_tuple()
        .all(connection)
        .await?;
    Ok(found)
}

/// All objects of a kind in a scope: what carries its number. The server's own scope is 0: the operator's keys are in
/// it, and every tenant.
fn within<T: Kept>(scope: i64) -> Select<T::Entity> {
    let all = T::Entity::find();
    if T::IS_TENANT && scope == 0 {
        all
    } else {
        all.filter(T::columns().tenant.eq(scope))
    }
}

/// Reads rows, with the ids of what they name.
pub(super) async fn read_rows<T: Kept, C: ConnectionTrait>(
    connection: &C,
    scope: i64,
    select: Select<T::Entity>,
) -> Result<Vec<T>, StoreError> {
    let rows = select.all(connection).await?;
    let wanted = rows.iter().flat_map(T::names).collect();
    let ids = Ids::load(connection, scope, wanted).await?;
    rows.into_iter().map(|row| T::read(row, &ids)).collect()
}

async fn find<T: Kept, C: ConnectionTrait>(
    connection: &C,
    scope: i64,
    id: Uuid,
) -> Result<Option<T>, StoreError> {
    let select = within::<T>(scope).filter(T::columns().id.eq(id));
    Ok(read_rows(connection, scope, select).await?.pop())
}

async fn numbered<T: Kept, C: ConnectionTrait>(
    connection: &C,
    scope: i64,
    number: i64,
) -> Result<Option<T>, StoreError> {
    let select = within::<T>(scope).filter(T::columns().number.eq(number));
    Ok(read_rows(connection, scope, select).await?.pop())
}

impl Reader<'_> {
    /// The object with this number, if it is of this scope.
    pub async fn numbered<T: Kept>(&self, scope: i64, number: i64) -> Result<Option<T>, StoreError> {
        numbered(self.connection(), scope, number).await
    }

    /// The object with this id, if it is of this scope.
    pub async fn find<T: Kept>(&self, scope: i64, id: Uuid) -> Result<Option<T>, StoreError> {
        find(self.connection(), scope, id).await
    }

    /// The object with this name, if it is of this scope.
    pub async fn find_named<T: Named>(&self, scope: i64, name: &str) -> Result<Option<T>, StoreError> {
        let select = within::<T>(scope).filter(T::name().eq(name));
        Ok(read_rows(self.connection(), scope, select).await?.pop())
    }

    /// Objects in the order of their numbers, from behind one.
    pub async fn page<T: Kept>(&self, scope: i64, after: i64, limit: u64) -> Result<Vec<T>, StoreError> {
        let columns = T::columns();
        let all = if cfg!(feature = "leave-out-tenant-filter") {
            T::Entity::find()
        } else {
            within::<T>(scope)
        };
        let select = all
            .filter(columns.number.gt(after))
            .order_by_asc(columns.number)
            .limit(limit);
        read_rows(self.connection(), scope, select).await
    }
}

impl Tx {
    /// The object with this id, if it is of this scope.
    pub async fn find<T: Kept>(&self, scope: i64, id: Uuid) -> Result<Option<T>, StoreError> {
        find(self.connection(), scope, id).await
    }

    /// The object with this number, if it is of this scope.
    pub async fn numbered<T: Kept>(&self, scope: i64, number: i64) -> Result<Option<T>, StoreError> {
        numbered(self.connection(), scope, number).await
    }

    /// The object that a draft names, if it is of this scope.
    pub async fn find_by<T: Named>(&self, scope: i64, name: &Name) -> Result<Option<T>, StoreError> {
        match name {
            Name::Id(id) => self.find(scope, *id).await,
            Name::Slug(slug) => {
                let select = within::<T>(scope).filter(T::name().eq(slug.as_str()));
                Ok(read_rows(self.connection(), scope, select).await?.pop())
            }
        }
    }

    /// The number for the next object of a kind.
    pub async fn next_number<T: Kept>(&self, scope: i64) -> Result<i64, StoreError> {
        let number = T::columns().number;
        let highest: Option<i64> = within::<T>(scope)
            .select_only()
            .column(number)
            .order_by_desc(number)
            .limit(1)
            .into_tuple()
            .one(self.connection())
            .await?;
        Ok(highest.unwrap_or(0).saturating_add(1))
    }

    /// Writes a new object.
    pub async fn insert<T: Kept>(&self, object: &T) -> Result<(), StoreError> {
        T::Entity::insert(object.row()?)
            .exec_without_returning(self.connection())
            .await
            .map_err(|error| taken_or::<T>(error))?;
        Ok(())
    }

    /// Writes an object over what was there under its number.
    pub async fn replace<T: Kept>(&self, object: &T) -> Result<(), StoreError> {
        T::Entity::update(object.row()?)
            .exec_without_returning(self.connection())
            .await
            .map_err(|error| taken_or::<T>(error))?;
        Ok(())
    }
}

fn taken_or<T: Kept>(error: DbErr) -> StoreError {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(constraint)) => StoreError::Taken(T::taken(&constraint)),
        _ => error.into(),
    }
}
