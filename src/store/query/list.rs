//! The statements of lists: which rows a page reads, and in which order.

use sea_orm::sea_query::{
    Alias, Asterisk, ColumnRef, Condition, Expr, ExprTrait as _, IntoColumnRef, Order as Direction, Query,
    SelectStatement, SimpleExpr, Value,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, Statement};
use uuid::Uuid;

use super::scope::Scope;
use super::text::Text;
use crate::model::Result;
use crate::model::page::{Order, OrderKey, Position, PositionKey};

/// Rows that are sorted for a page if an index finds them in another order than that of the list.
pub const MAX_ROWS_SORTED: u64 = 1_000;

/// Columns that a list can be ordered by. An index of the organization, the column and the uid serves each order.
pub struct Keys<E: EntityTrait> {
    pub organization: E::Column,
    pub uid: E::Column,
    pub display_name: E::Column,
    pub update_time: E::Column,
    /// `None`: the list is no feed.
    pub feed: Option<E::Column>,
}

/// The rows of an organization, their order keys and the filters of a list.
pub struct List<'a, E: EntityTrait> {
    select: Box<dyn Fn() -> SelectStatement + Send + Sync + 'a>,
    scope: &'a Scope<'a>,
    keys: &'static Keys<E>,
    /// Filters by the value of a column, each with an index of the organization, the column and the uid. The first one,
    /// which should match the fewest rows, decides which rows are read.
    pub values: Vec<(E::Column, Value)>,
    /// Without `values`: selects the uids of all rows that match one of the filters, and reads no others.
    pub matching_uids: Option<SelectStatement>,
    /// All other filters.
    pub filters: Vec<SimpleExpr>,
    /// A filter by uids.
    pub uids: UidRange,
    /// A condition on the key of the order, at which the list ends.
    pub end: Option<SimpleExpr>,
    /// The text of the first page in the order of creation, which is used without filters, and its values before the limit.
    pub first_page: Option<(&'a Text, Vec<Value>)>,
}

/// Limits of uids, which ascend with the time of creation.
#[derive(Clone, Copy, Default)]
pub struct UidRange {
    /// The first uid.
    pub start: Option<Uuid>,
    /// The uid after the last one.
    pub end: Option<Uuid>,
}

/// How the rows of a list are read.
pub struct Rows<'a, E: EntityTrait> {
    list: List<'a, E>,
    order: Order,
    /// The column that is ordered by before the uid, and its only value.
    value: Option<(E::Column, Value)>,
    /// The limit of the uids after which no row matches, if it is a filter.
    last: Option<Uuid>,
    /// Selects the uids of all rows that may match, by an index. It is not known yet whether they are few.
    uids: Option<SelectStatement>,
    /// The same, once it is known that they are few.
    few_uids: Option<SelectStatement>,
}

impl<'a, E: EntityTrait> List<'a, E> {
    /// A list without filters of what a statement selects, which are rows of the organization.
    pub fn new(
        select: impl Fn() -> SelectStatement + Send + Sync + 'a,
        scope: &'a Scope<'a>,
        keys: &'static Keys<E>,
    ) -> Self {
        let (values, filters, uids) = (Vec::new(), Vec::new(), UidRange::default());
        Self {
            select: Box::new(select),
            scope,
            keys,
            values,
            matching_uids: None,
            filters,
            uids,
            end: None,
            first_page: None,
        }
    }

    /// The rows of the list in an order.
    pub fn in_order(mut self, order: Order) -> Rows<'a, E> {
        let is_by_uid = order.key == OrderKey::CreateTime;
        if !is_by_uid || order.descending || self.is_filtered() {
            self.first_page = None;
        }
        let value = (is_by_uid && !self.values.is_empty()).then(|| self.values.remove(0));
        let uids = if value.is_none() { self.uids_by_index() } else { None };
        let last = if value.is_some() { self.take_last(order) } else { None };
        self.filters.extend(self.values.drain(..).map(|(column, value)| column.eq(value)));
        if !is_by_uid {
            let UidRange { start, end } = self.uids;
            self.filters.extend(start.map(|start| self.keys.uid.gte(start)));
            self.filters.extend(end.map(|end| self.keys.uid.lt(end)));
        }
        Rows { list: self, order, value, last, uids, few_uids: None }
    }

    fn is_filtered(&self) -> bool {
        let UidRange { start, end } = self.uids;
        let has_limit = start.or(end).is_some() || self.end.is_some();
        !self.values.is_empty() || self.matching_uids.is_some() || !self.filters.is_empty() || has_limit
    }

    /// Makes the limit of the uids at the end of an order a filter. PostgreSQL does not stop at a limit of an index column
    /// after one that is compared with a range.
    fn take_last(&mut self, order: Order) -> Option<Uuid> {
        let limit = if order.descending { &mut self.uids.start } else { &mut self.uids.end };
        let last = limit.take()?;
        let uid = self.keys.uid;
        self.filters.push(if order.descending { uid.gte(last) } else { uid.lt(last) });
        Some(last)
    }

    /// Selects the uids of the rows that one filter matches.
    fn uids_by_index(&self) -> Option<SelectStatement> {
        let Some((column, value)) = self.values.first() else { return self.matching_uids.clone() };
        let uids = self
            .select_from_table((E::default(), self.keys.uid))
            .cond_where(has_value::<E>(*column, value))
            .order_by((E::default(), *column), Direction::Asc)
            .order_by((E::default(), self.keys.uid), Direction::Asc)
            .take();
        Some(uids)
    }

    fn select_from_table(&self, column: impl IntoColumnRef) -> SelectStatement {
        Query::select()
            .column(column)
            .from(E::default())
            .and_where(self.keys.organization.eq(self.scope.organization.as_str()))
            .take()
    }
}

impl<E: EntityTrait> Rows<'_, E> {
    /// Whether rows are read in the order of the list although they may not match.
    pub fn is_scan(&self) -> bool {
        self.few_uids.is_none() && !self.list.filters.is_empty()
    }

    /// Whether no row after a position matches.
    pub fn is_after_last(&self, position: &Position) -> bool {
        self.last.is_some_and(|last| if self.order.descending { position.uid < last } else { position.uid >= last })
    }

    /// Ends a scan if an index finds all rows that may match and they are few: from then on, these are sorted. Called once
    /// the first rows of a page are read, so that most pages need one statement.
    pub async fn sort_if_few(&mut self, db: &impl ConnectionTrait) -> Result<()> {
        if let Some(uids) = self.uids.take() {
            let one_too_many = uids.clone().offset(MAX_ROWS_SORTED).limit(1).take();
            self.few_uids = db.query_one(&one_too_many).await?.is_none().then_some(uids);
        }
        Ok(())
    }

    /// The statement that reads at most `limit` rows after a position.
    pub fn build(
        &self,
        backend: DbBackend,
        after: Option<&Position>,
        limit: u64,
        rows_to_read: u64,
    ) -> Result<Statement, DbErr> {
        let select = || self.statement(after, limit, rows_to_read);
        match &self.list.first_page {
            Some((text, values)) if after.is_none() => {
                text.returning(backend, values.iter().cloned().chain([limit.into()]).collect(), select)
            }
            _ => Ok(backend.build(&select())),
        }
    }

    /// Selects at most `limit` rows after a position: of a scan, those among the next `rows_to_read` rows that match, and
    /// the last one that was read.
    fn statement(&self, after: Option<&Position>, limit: u64, rows_to_read: u64) -> SelectStatement {
        let list = &self.list;
        let filters = list.filters.iter().cloned().fold(Condition::all(), Condition::add);
        let mut select = (list.select)();
        let mut statement = if let Some(uids) = &self.few_uids {
            // More than were counted: some may have been added since.
            let limit = 2 * MAX_ROWS_SORTED;
            let is_found = list.keys.uid.in_subquery(uids.clone().limit(limit).take());
            let rows = self.list.select_from_table(Asterisk).and_where(is_found).limit(limit).take();
            from_rows::<E>(select.cond_where(filters).cond_where(self.range(after)), rows)
        } else if self.is_scan() {
            let next =
                |column: ColumnRef| self.ordered(list.select_from_table(column).cond_where(self.range(after)).take());
            let uid = ColumnRef::from((E::default(), list.keys.uid));
            let last_read = next(uid).offset(rows_to_read - 1).limit(1).take();
            let last_read = list.keys.uid.into_expr().eq(SimpleExpr::SubQuery(None, Box::new(last_read.into())));
            let found = Condition::any().add(filters.clone()).add(last_read.clone());
            from_rows::<E>(select.cond_where(found), next(Asterisk.into_column_ref()).limit(rows_to_read).take())
                .expr_as(SimpleExpr::from(filters), "matches")
                .expr_as(last_read, "last_read")
                .take()
        } else {
            select.cond_where(self.range(after)).take()
        };
        self.ordered(statement.limit(limit).take())
    }

    fn ordered(&self, mut statement: SelectStatement) -> SelectStatement {
        let direction = if self.order.descending { Direction::Desc } else { Direction::Asc };
        for column in [self.value.as_ref().map(|(column, _)| *column), self.key()].into_iter().flatten() {
            statement.order_by((E::default(), column), direction.clone());
        }
        statement.order_by((E::default(), self.list.keys.uid), direction).take()
    }

    /// Whether a row stands after a position and within the limits of the list.
    fn range(&self, after: Option<&Position>) -> Condition {
        let range = Condition::all().add_option(self.list.end.clone());
        let (Some(key), Some(after)) = (self.key(), after) else {
            return if self.key().is_some() { range } else { range.add(self.uid_range(after)) };
        };
        let bound = match &after.key {
            PositionKey::Text(text) => Expr::val(text.as_str()),
            PositionKey::Time(time) => Expr::val(*time),
            PositionKey::Feed(position) => Expr::val(*position),
            PositionKey::Uid => Expr::val(after.uid),
        };
        let key = Expr::tuple([key.into_expr(), self.list.keys.uid.into_expr()]);
        let bound = Expr::tuple([bound, Expr::val(after.uid)]);
        range.add(if self.order.descending { key.lt(bound) } else { key.gt(bound) })
    }

    /// The same in the order of uids. With a value of a column before the uid, there is one comparison with both at each
    /// end: of two, PostgreSQL may start to read at the wrong one.
    fn uid_range(&self, after: Option<&Position>) -> Condition {
        let uid = self.list.keys.uid.into_expr();
        let before_uid = self.value.as_ref().map(|(column, value)| (column.into_expr(), Expr::val(value.clone())));
        let with_value = |uid: Uuid| match &before_uid {
            Some((_, value)) => Expr::tuple([value.clone(), Expr::val(uid)]),
            None => Expr::val(uid),
        };
        let key = before_uid.as_ref().map_or(uid.clone(), |(column, _)| Expr::tuple([column.clone(), uid.clone()]));
        let UidRange { start, end } = self.list.uids;
        let (first, last) = if self.order.descending { (None, after) } else { (after, None) };
        let lower = match (first, start) {
            (Some(first), _) => Some(key.clone().gt(with_value(first.uid))),
            (None, Some(start)) => Some(key.clone().gte(with_value(start))),
            (None, None) => before_uid.as_ref().map(|(column, value)| column.clone().gte(value.clone())),
        };
        let upper = match (last.map(|last| last.uid).or(end), &before_uid) {
            (Some(end), _) => Some(key.lt(with_value(end))),
            (None, before_uid) => before_uid.as_ref().map(|(column, value)| column.clone().lte(value.clone())),
        };
        Condition::all().add_option(lower).add_option(upper)
    }

    /// The column that is ordered by before the uid.
    fn key(&self) -> Option<E::Column> {
        let keys = self.list.keys;
        match self.order.key {
            OrderKey::CreateTime => None,
            OrderKey::DisplayName => Some(keys.display_name),
            OrderKey::UpdateTime => Some(keys.update_time),
            OrderKey::Feed => keys.feed,
        }
    }
}

/// Replaces the table of a statement by rows of it. They have a limit, and so both databases read no others.
fn from_rows<E: EntityTrait>(select: &mut SelectStatement, rows: SelectStatement) -> SelectStatement {
    select.from_clear().from_subquery(rows, Alias::new(E::default().table_name())).take()
}

/// Whether a column has a value. As a range, because with an equation PostgreSQL may read in the order of another index, and
/// pass over any number of rows with other values.
fn has_value<E: EntityTrait>(column: E::Column, value: &Value) -> Condition {
    Condition::all().add(column.gte(value.clone())).add(column.lte(value.clone()))
}
