//! Words of tags, and tags on new jobs (spec/auth.md 13.3, job-db.md 10).

use cc_model::Tag;
use cc_runtime::caller::Caller;

use crate::error::Error;
use crate::store::visible::may_write_scope;
use crate::store::{self, DbId, Unit};

/// Longest type, name or scope of a tag, in bytes: what its column declares.
const WORD_BYTES_MAX: usize = 255;

/// A tag with its scope filled in: `global` where none is given.
///
/// # Errors
/// [`Error::InvalidJob`] for words that no tag can have.
pub(crate) fn filled(mut tag: Tag) -> Result<Tag, Error> {
    if tag.scope.is_empty() {
        "global".clone_into(&mut tag.scope);
    }
    for (field, word) in [("tags.type", &tag.kind), ("tags.name", &tag.name), ("tags.scope", &tag.scope)] {
        if word.is_empty() || word.len() > WORD_BYTES_MAX {
            let problem = format!("expected 1 to {WORD_BYTES_MAX} bytes, found {}", word.len());
            return Err(Error::InvalidJob { field, problem });
        }
    }
    Ok(tag)
}

/// Tags with their scopes filled in, each allowed for the caller.
///
/// # Errors
/// [`Error::TagScope`], [`Error::InvalidJob`].
pub(crate) fn permitted(tags: &[Tag], caller: &Caller) -> Result<Vec<Tag>, Error> {
    let mut permitted: Vec<Tag> = Vec::with_capacity(tags.len());
    for tag in tags {
        let tag = filled(tag.clone())?;
        if !may_write_scope(caller, &tag.scope) {
            return Err(Error::TagScope { scope: tag.scope });
        }
        if !permitted.iter().any(|known| (&known.kind, &known.name) == (&tag.kind, &tag.name)) {
            permitted.push(tag);
        }
    }
    Ok(permitted)
}

/// What has to be done to attach a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is there.
    Known(i64),
    /// It has to be created.
    New(Tag),
    /// Its type and name are used in another scope, and the table holds each pair once.
    Taken(Tag),
}

/// Looks tags up without writing anything.
pub(crate) async fn find<U: Unit>(unit: &mut U, tags: &[Tag]) -> store::Result<Vec<Found>> {
    let mut found = Vec::with_capacity(tags.len());
    for tag in tags {
        found.push(match unit.tag(&tag.kind, &tag.name).await? {
            Some(known) if known.scope == tag.scope => Found::Known(known.id),
            Some(_) => Found::Taken(tag.clone()),
            None => Found::New(tag.clone()),
        });
    }
    Ok(found)
}

/// Attaches what [`find`] found; taken ones are left out.
pub(crate) async fn attach<U: Unit>(unit: &mut U, job: DbId, found: &[Found]) -> store::Result<()> {
    for found in found {
        let id = match found {
            Found::Known(id) => *id,
            Found::New(tag) => unit.insert_tag(&tag.kind, &tag.name, &tag.scope).await?,
            Found::Taken(_) => continue,
        };
        unit.attach(job, id).await?;
    }
    Ok(())
}
