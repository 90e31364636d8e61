//! What people and programs change of single jobs: tags, metadata, and whole rows (spec/rest-api.md 6.9 to 6.16,
//! graphql-api.md 9). Everything of a request is checked before anything of it is written: all or nothing.

use std::collections::BTreeMap;

use cc_model::{Job, Tag};
use cc_runtime::caller::Caller;

use super::tags::{self, Found};
use super::writer::{Context, Mutation};
use crate::error::Error;
use crate::store::change::ChangeKind;
use crate::store::visible::{TagScopes, Visible, may_delete_tag, may_write_scope};
use crate::store::{self, DbId, Unit};

/// Longest key of the metadata, in bytes.
const KEY_BYTES_MAX: usize = 255;
/// Most tags of one request.
const TAGS_MAX: usize = 1_000;

/// How a request names a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    /// By database id; the caller must be allowed to see it.
    Id(DbId, Visible),
    /// The newest that fits, for programs of the site.
    Newest {
        /// The scheduler's id.
        job_id: i64,
        /// Absent: any.
        cluster: Option<String>,
        /// Absent: any.
        start_time: Option<i64>,
    },
}

impl Which {
    async fn find<U: Unit>(&self, unit: &mut U) -> store::Result<Result<(DbId, Job), Error>> {
        let found = match self {
            Self::Id(id, visible) => match unit.job(*id).await? {
                Some(job) if !visible.allows(&job) => return Ok(Err(Error::JobNotVisible)),
                found => found,
            },
            Self::Newest { job_id, cluster, start_time } => {
                unit.newest(*job_id, cluster.as_deref(), *start_time).await?
            }
        };
        Ok(found.and_then(|job| Some((job.id?, job))).ok_or(Error::JobNotFound))
    }
}

/// A change of a job that its archive entry, if it has one or gets one just now, must follow.
async fn changed<U: Unit>(unit: &mut U, context: &mut Context, id: DbId, job: &Job) -> store::Result<()> {
    if !job.state.is_running() {
        unit.note_copy(id, context.now).await?;
    }
    context.log(unit, ChangeKind::Updated, id, job).await
}

/// Which tag a request means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    /// By database id.
    Id(i64),
    /// By words, the scope filled in.
    Words(Tag),
}

impl Named {
    /// The tags of a request: those with an id by it, the others by their words.
    ///
    /// # Errors
    /// [`Error::InvalidJob`] for words that no tag can have, and for too many tags.
    pub(crate) fn of(tags: Vec<Tag>) -> Result<Vec<Self>, Error> {
        if tags.len() > TAGS_MAX {
            let problem = format!("expected at most {TAGS_MAX} tags, found {}", tags.len());
            return Err(Error::InvalidJob { field: "tags", problem });
        }
        let named =
            |tag: Tag| if tag.id == 0 { tags::filled(tag).map(Self::Words) } else { Ok(Self::Id(tag.id)) };
        tags.into_iter().map(named).collect()
    }

    /// The known tag, or why there is none.
    async fn known<U: Unit>(&self, unit: &mut U) -> store::Result<Result<Tag, Error>> {
        Ok(match self {
            Self::Id(id) => unit.tag_by_id(*id).await?.ok_or(Error::TagIdNotFound { id: *id }),
            Self::Words(tag) => {
                let known = unit.tag(&tag.kind, &tag.name).await?.filter(|known| known.scope == tag.scope);
                known.ok_or_else(|| Error::TagNotFound {
                    kind: tag.kind.clone(),
                    name: tag.name.clone(),
                    scope: tag.scope.clone(),
                })
            }
        })
    }
}

/// Tags of one job, attached and detached.
#[derive(Debug, Clone)]
pub(crate) struct ChangeTags {
    pub(crate) id: DbId,
    pub(crate) attach: Vec<Named>,
    pub(crate) detach: Vec<Named>,
    pub(crate) caller: Caller,
    pub(crate) visible: Visible,
}

/// What [`ChangeTags`] did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TagsChanged {
    /// With the tags that the caller may see, without metadata.
    pub(crate) job: Job,
    /// Those that were to be attached, in the order of the request.
    pub(crate) attached: Vec<Tag>,
}

impl ChangeTags {
    /// What has to be done for the tags to attach.
    async fn to_attach<U: Unit>(&self, unit: &mut U) -> store::Result<Result<Vec<Found>, Error>> {
        let mut found = Vec::with_capacity(self.attach.len());
        for named in &self.attach {
            let tag = match named {
                Named::Id(_) => match named.known(unit).await? {
                    Ok(tag) => tag,
                    Err(refusal) => return Ok(Err(refusal)),
                },
                Named::Words(tag) => tag.clone(),
            };
            if !may_write_scope(&self.caller, &tag.scope) {
                return Ok(Err(match named {
                    Named::Id(id) => Error::TagForbidden { id: *id },
                    Named::Words(_) => Error::TagScope { scope: tag.scope },
                }));
            }
            found.push(match unit.tag(&tag.kind, &tag.name).await? {
                Some(known) if known.scope == tag.scope => Found::Known(known.id),
                Some(_) => return Ok(Err(Error::TagTaken { kind: tag.kind, name: tag.name })),
                None => Found::New(tag),
            });
        }
        Ok(Ok(found))
    }

    async fn to_detach<U: Unit>(&self, unit: &mut U) -> store::Result<Result<Vec<i64>, Error>> {
        let mut found = Vec::with_capacity(self.detach.len());
        for named in &self.detach {
            match named.known(unit).await? {
                Ok(tag) if may_write_scope(&self.caller, &tag.scope) => found.push(tag.id),
                Ok(tag) => return Ok(Err(Error::TagForbidden { id: tag.id })),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        Ok(Ok(found))
    }
}

impl Mutation for ChangeTags {
    type Answer = Result<TagsChanged, Error>;

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<Self::Answer> {
        let which = Which::Id(self.id, self.visible.clone());
        let (id, mut job) = match which.find(unit).await? {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let attach = match self.to_attach(unit).await? {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let detach = match self.to_detach(unit).await? {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut attached = Vec::with_capacity(attach.len());
        for found in attach {
            let tag = match found {
                Found::Known(tag) => tag,
                // the same new tag may stand in the request twice
                Found::New(tag) => match unit.tag(&tag.kind, &tag.name).await? {
                    Some(known) => known.id,
                    None => unit.insert_tag(&tag.kind, &tag.name, &tag.scope).await?,
                },
                Found::Taken(_) => continue,
            };
            unit.attach(id, tag).await?;
            attached.extend(unit.tag_by_id(tag).await?);
        }
        for tag in &detach {
            unit.detach(id, *tag).await?;
        }
        if !(attached.is_empty() && detach.is_empty()) {
            changed(unit, context, id, &job).await?;
        }
        let scopes = TagScopes::to(&self.caller);
        job.tags = unit.tags_of(id).await?;
        job.tags.retain(|tag| scopes.allows(&tag.scope));
        job.meta_data = None;
        Ok(Ok(TagsChanged { job, attached }))
    }
}

/// A new tag.
#[derive(Debug, Clone)]
pub(crate) struct CreateTag {
    tag: Tag,
}

impl CreateTag {
    /// Checks the words and the caller's rights. An empty scope is none, other than on tags of jobs.
    ///
    /// # Errors
    /// [`Error::TagScope`], [`Error::InvalidJob`].
    pub(crate) fn new(tag: Tag, caller: &Caller) -> Result<Self, Error> {
        if tag.scope.is_empty() || !may_write_scope(caller, &tag.scope) {
            return Err(Error::TagScope { scope: tag.scope });
        }
        Ok(Self { tag: tags::filled(tag)? })
    }
}

impl Mutation for CreateTag {
    type Answer = Result<Tag, Error>;

    async fn apply<U: Unit>(&self, unit: &mut U, _: &mut Context) -> store::Result<Self::Answer> {
        let tag = &self.tag;
        if unit.tag(&tag.kind, &tag.name).await?.is_some() {
            return Ok(Err(Error::TagTaken { kind: tag.kind.clone(), name: tag.name.clone() }));
        }
        let id = unit.insert_tag(&tag.kind, &tag.name, &tag.scope).await?;
        Ok(Ok(Tag { id, ..tag.clone() }))
    }
}

/// Tags to delete everywhere.
#[derive(Debug, Clone)]
pub(crate) struct DeleteTags {
    pub(crate) tags: Vec<Named>,
    pub(crate) caller: Caller,
}

impl Mutation for DeleteTags {
    type Answer = Result<Vec<i64>, Error>;

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<Self::Answer> {
        let mut ids = Vec::with_capacity(self.tags.len());
        for named in &self.tags {
            match named.known(unit).await? {
                Ok(tag) if may_delete_tag(&self.caller, &tag.scope) => ids.push(tag.id),
                Ok(tag) => return Ok(Err(Error::TagForbidden { id: tag.id })),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        for id in &ids {
            unit.delete_tag(*id, context.now).await?;
        }
        Ok(Ok(ids))
    }
}

/// One key of a job's metadata.
#[derive(Debug, Clone)]
pub(crate) struct EditMeta {
    which: Which,
    key: String,
    /// Absent: the key is removed.
    value: Option<String>,
}

impl EditMeta {
    /// Checks the key.
    ///
    /// # Errors
    /// [`Error::InvalidJob`].
    pub(crate) fn new(which: Which, key: String, value: Option<String>) -> Result<Self, Error> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            let problem = format!("expected 1 to {KEY_BYTES_MAX} bytes, found {}", key.len());
            return Err(Error::InvalidJob { field: "key", problem });
        }
        Ok(Self { which, key, value })
    }
}

impl Mutation for EditMeta {
    type Answer = Result<Job, Error>;

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<Self::Answer> {
        let (id, mut job) = match self.which.find(unit).await? {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let metadata: &mut BTreeMap<String, String> = job.meta_data.get_or_insert_default();
        match &self.value {
            Some(value) => metadata.insert(self.key.clone(), value.clone()),
            None => metadata.remove(&self.key),
        };
        unit.put_metadata(id, metadata).await?;
        changed(unit, context, id, &job).await?;
        Ok(Ok(job))
    }
}

/// Rows to delete.
#[derive(Debug, Clone)]
pub(crate) enum DeleteJobs {
    /// The newest that fits.
    Newest(Which),
    /// These; ids without a row are passed over.
    Ids(Vec<DbId>),
}

impl Mutation for DeleteJobs {
    /// Ids of the rows that were there.
    type Answer = Result<Vec<DbId>, Error>;

    fn weight(&self) -> usize {
        match self {
            Self::Newest(_) => 1,
            Self::Ids(ids) => ids.len(),
        }
    }

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<Self::Answer> {
        let ids = match self {
            Self::Ids(ids) => ids.clone(),
            Self::Newest(which) => match which.find(unit).await? {
                Ok((id, _)) => vec![id],
                Err(refusal) => return Ok(Err(refusal)),
            },
        };
        let mut deleted = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(job) = unit.job(id).await? else { continue };
            unit.delete_job(id).await?;
            context.log(unit, ChangeKind::Deleted, id, &job).await?;
            deleted.push(id);
        }
        Ok(Ok(deleted))
    }
}
