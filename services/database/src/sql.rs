//! Query text from constants only. What a caller controls can get into a statement by [`Sql::bind`] and in no
//! other way: [`Sql::push`] takes `&'static str`, so a value has no path into the text. (This crate alone may
//! repeat what the file's own schema says, to drop an index and make it again.)

use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Encode, FromRow, QueryBuilder, Sqlite, Type};

/// A statement under construction.
pub struct Sql {
    builder: QueryBuilder<Sqlite>,
}

impl std::fmt::Debug for Sql {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sql").field("text", &self.builder.sql().as_str()).finish()
    }
}

impl Sql {
    /// Starts with a constant.
    pub fn new(text: &'static str) -> Self {
        Self { builder: QueryBuilder::new(text) }
    }

    /// Appends a constant.
    pub fn push(&mut self, text: &'static str) -> &mut Self {
        self.builder.push(text);
        self
    }

    /// Appends a parameter with its value.
    pub fn bind<'value, T>(&mut self, value: T) -> &mut Self
    where
        T: Encode<'value, Sqlite> + Type<Sqlite>,
    {
        self.builder.push_bind(value);
        self
    }

    /// Appends the name of an object that was read from the schema of the file, quoted.
    pub(crate) fn identifier(&mut self, name: &str) -> &mut Self {
        self.builder.push("\"");
        self.builder.push(name.replace('"', "\"\""));
        self.builder.push("\"");
        self
    }

    /// A statement that the file itself keeps in `sqlite_master`: the one text here that is no constant, and one that
    /// SQLite has executed before.
    pub(crate) fn of_the_schema(statement: &str) -> Self {
        Self { builder: QueryBuilder::new(statement) }
    }

    /// Appends `(?, ?, …)` with one parameter per value. An empty list becomes `(NULL)`, which matches nothing.
    pub fn bind_list<'value, T>(&mut self, values: impl IntoIterator<Item = T>) -> &mut Self
    where
        T: Encode<'value, Sqlite> + Type<Sqlite>,
    {
        self.builder.push("(");
        let mut first = true;
        for value in values {
            if !first {
                self.builder.push(", ");
            }
            first = false;
            self.builder.push_bind(value);
        }
        self.builder.push(if first { "NULL)" } else { ")" });
        self
    }

    /// The text so far, for logs and plan tests.
    pub fn text(&self) -> String {
        self.builder.sql().as_str().to_owned()
    }

    /// The statement for `execute` and `fetch`.
    pub fn build(&mut self) -> Query<'_, Sqlite, SqliteArguments> {
        self.builder.build()
    }

    /// The statement whose rows become `T`.
    pub fn build_as<'query, T>(&'query mut self) -> QueryAs<'query, Sqlite, T, SqliteArguments>
    where
        T: for<'row> FromRow<'row, SqliteRow>,
    {
        self.builder.build_query_as()
    }

    /// The statement whose first column becomes `T`.
    pub fn build_scalar<'query, T>(&'query mut self) -> QueryScalar<'query, Sqlite, T, SqliteArguments>
    where
        (T,): for<'row> FromRow<'row, SqliteRow>,
    {
        self.builder.build_query_scalar()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_parameters() {
        let mut sql = Sql::new("SELECT 1 FROM job WHERE cluster = ");
        sql.bind("x'; DROP TABLE job; --").push(" AND id IN ").bind_list([1_i64, 2]);
        assert_eq!(sql.text(), "SELECT 1 FROM job WHERE cluster = ? AND id IN (?, ?)");
        assert_eq!(Sql::new("x IN ").bind_list(Vec::<i64>::new()).text(), "x IN (NULL)");
    }
}
