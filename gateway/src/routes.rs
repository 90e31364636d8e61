//! Every route with its gate, in one list: what is registered here is what the router serves, what `openapi.json`
//! describes, and what the table of rights is tested against.

use axum::Router;
use axum::routing::{MethodFilter, MethodRouter, any, delete, get, on, patch, post};
use http::Method;

use crate::auth::gate::{Api, Gate, UserApi};
use crate::graphql;
use crate::middleware::decompression;
use crate::rest::{
    clusters, debug, delete_jobs, edit_meta, free, job, job_metrics, jobs, machine_state, nodestate, query,
    start_job, stop_job, tags, used_nodes, users, write,
};
use crate::settings::Settings;
use crate::state::State;
use crate::web::{config, events, fallback, login, spa};

/// A registered route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST`, …; a GET also answers HEAD.
    pub method: Method,
    /// As axum writes it.
    pub path: &'static str,
    /// What it needs.
    pub gate: Gate,
}

/// The list and the router made of it.
#[derive(Debug, Default)]
pub struct Routes {
    list: Vec<Route>,
    router: Router<State>,
}

const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const GET_POST: &[Method] = &[Method::GET, Method::POST];
const DELETE: &[Method] = &[Method::DELETE];
const PATCH: &[Method] = &[Method::PATCH];
const POST_PUT: &[Method] = &[Method::POST, Method::PUT];

impl Routes {
    /// Adds one handler under several spellings of its path.
    #[must_use]
    pub fn add(
        mut self,
        methods: &[Method],
        paths: &[&'static str],
        gate: Gate,
        handler: &MethodRouter<State>,
    ) -> Self {
        for path in paths {
            self.list.extend(methods.iter().map(|method| Route { method: method.clone(), path, gate }));
            self.router = self.router.route(path, handler.clone());
        }
        self
    }

    /// Adds the routes of another part of the gateway.
    #[must_use]
    pub fn merge(mut self, list: impl IntoIterator<Item = Route>, router: Router<State>) -> Self {
        self.list.extend(list);
        self.router = self.router.merge(router);
        self
    }

    /// What was added.
    pub fn list(&self) -> &[Route] {
        &self.list
    }

    /// The router, to be wrapped.
    pub fn into_router(self) -> Router<State> {
        self.router
    }
}

/// The routes that exist with these settings.
pub fn all(settings: &Settings) -> Routes {
    let routes = administration(pages(user_api(changes(rest(job_events(Routes::default(), settings))))));
    if settings.authentication {
        sessions(routes)
    } else {
        routes.add(GET, &["/login"], Gate::Open, &get(login::page))
    }
}

/// Start and stop over REST, which make room for NATS as in the reference (config-and-cli.md 3.1).
fn job_events(routes: Routes, settings: &Settings) -> Routes {
    let start = on(MethodFilter::POST.or(MethodFilter::PUT), start_job::start);
    let stop = on(MethodFilter::POST.or(MethodFilter::PUT), stop_job::stop);
    if settings.rest_job_events {
        routes.add(POST_PUT, &["/api/jobs/start_job/", "/api/jobs/start_job"], Gate::Api, &start).add(
            POST_PUT,
            &["/api/jobs/stop_job/", "/api/jobs/stop_job"],
            Gate::Api,
            &stop,
        )
    } else {
        routes
    }
}

/// For programs. Both spellings of a fixed path lead to it: no id can be mistaken for one.
fn rest(routes: Routes) -> Routes {
    let report = on(MethodFilter::POST.or(MethodFilter::PUT), nodestate::report);
    let machine = MethodFilter::POST.or(MethodFilter::PUT);
    let machine = get(machine_state::get).on(machine, machine_state::put);
    routes
        .add(GET, &["/api/jobs/", "/api/jobs"], Gate::Api, &get(jobs::list::<Api>))
        .add(GET, &["/api/jobs/used_nodes", "/api/jobs/used_nodes/"], Gate::Api, &get(used_nodes::list))
        .add(GET, &["/api/clusters/", "/api/clusters"], Gate::Api, &get(clusters::list))
        .add(POST_PUT, &["/api/nodestate/", "/api/nodestate"], Gate::Api, &report)
        .add(POST, &["/api/write/", "/api/write"], Gate::Store, &decompression::of_request(post(write::take)))
        .add(GET, &["/api/debug/", "/api/debug"], Gate::Store, &get(debug::dump))
        .add(POST, &["/api/free/", "/api/free"], Gate::Store, &post(free::free))
        .add(POST, &["/api/healthcheck/", "/api/healthcheck"], Gate::Store, &post(nodestate::healthcheck))
        .add(
            &[Method::GET, Method::POST],
            &["/api/query", "/api/query/"],
            Gate::Api,
            &get(query::run).post(query::run),
        )
        .add(GET_POST, &["/api/jobs/{id}"], Gate::Api, &get(job::get::<Api>).post(job::post::<Api>))
        .add(GET, &["/api/jobs/metrics/{id}"], Gate::Api, &get(job_metrics::get::<Api>))
        .add(
            &[Method::GET, Method::POST, Method::PUT],
            &["/api/machine_state/{cluster}/{host}"],
            Gate::Api,
            &machine,
        )
}

/// What programs change of single jobs.
fn changes(routes: Routes) -> Routes {
    let some = MethodFilter::POST.or(MethodFilter::PATCH);
    let tag = on(some, tags::attach).delete(tags::detach);
    routes
        .add(&[Method::POST, Method::PATCH, Method::DELETE], &["/api/jobs/tag_job/{id}"], Gate::Api, &tag)
        .add(DELETE, &["/api/tags/", "/api/tags"], Gate::Api, &delete(tags::delete))
        .add(PATCH, &["/api/jobs/edit_meta/{id}"], Gate::Api, &patch(edit_meta::by_id))
        .add(
            PATCH,
            &["/api/jobs/edit_meta/", "/api/jobs/edit_meta"],
            Gate::Api,
            &patch(edit_meta::by_request),
        )
        .add(DELETE, &["/api/jobs/delete_job/{id}"], Gate::Api, &delete(delete_jobs::by_id))
        .add(
            DELETE,
            &["/api/jobs/delete_job/", "/api/jobs/delete_job"],
            Gate::Api,
            &delete(delete_jobs::by_request),
        )
        .add(DELETE, &["/api/jobs/delete_job_before/{ts}"], Gate::Api, &delete(delete_jobs::before))
}

/// For the own programs of people: reading only.
fn user_api(routes: Routes) -> Routes {
    let gated = |methods: MethodRouter<State>| methods.fallback(fallback::user_api_method);
    routes
        .add(GET, &["/userapi/jobs/", "/userapi/jobs"], Gate::UserApi, &gated(get(jobs::list::<UserApi>)))
        .add(
            GET_POST,
            &["/userapi/jobs/{id}"],
            Gate::UserApi,
            &gated(get(job::get::<UserApi>).post(job::post::<UserApi>)),
        )
        .add(GET, &["/userapi/jobs/metrics/{id}"], Gate::UserApi, &gated(get(job_metrics::get::<UserApi>)))
}

/// Users and taggers: for programs of administrators, and for their forms.
fn administration(routes: Routes) -> Routes {
    let create = on(MethodFilter::POST.or(MethodFilter::PUT), config::create_user);
    let users = create.get(config::users).delete(config::delete_user);
    routes
        .add(GET, &["/api/users/", "/api/users"], Gate::Api, &get(users::list))
        .add(POST, &["/api/user/{id}"], Gate::Api, &post(users::change))
        .add(GET, &["/config/roles/", "/config/roles"], Gate::Config, &get(config::roles))
        .add(
            &[Method::GET, Method::POST, Method::PUT, Method::DELETE],
            &["/config/users/", "/config/users"],
            Gate::Config,
            &users,
        )
        .add(POST, &["/config/user/{id}"], Gate::Config, &post(config::change_user))
        .add(GET, &["/config/taggers/", "/config/taggers"], Gate::Config, &get(config::taggers))
        .add(POST, &["/config/taggers/run/", "/config/taggers/run"], Gate::Config, &post(config::run_tagger))
        .add(POST, &["/config/notice/", "/config/notice"], Gate::Config, &post(config::notice))
}

fn pages(routes: Routes) -> Routes {
    let other_slash = any(spa::other_slash);
    routes
        .add(GET, &["/"], Gate::Web, &get(spa::home))
        .add(GET, &["/monitoring/jobs/"], Gate::Web, &get(spa::jobs))
        .add(GET, &["/monitoring/job/{id}"], Gate::Web, &get(spa::job))
        .add(GET, &["/monitoring/user/{name}"], Gate::Web, &get(spa::user))
        .add(
            GET,
            &["/monitoring/jobs", "/monitoring/job/{id}/", "/monitoring/user/{name}/"],
            Gate::Open,
            &other_slash,
        )
        .add(POST, &["/query"], Gate::Web, &any(graphql::post))
        .add(GET, &["/events"], Gate::Web, &get(events::open))
}

fn sessions(routes: Routes) -> Routes {
    routes
        .add(&[Method::GET, Method::POST], &["/login"], Gate::Open, &get(login::page).post(login::sign_in))
        .add(POST, &["/logout"], Gate::Open, &post(login::sign_out))
}
