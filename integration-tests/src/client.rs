//! An HTTP client as a script, a scheduler or a browser would be one.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde_json::{Value, json};

/// One client: an address and at most one credential.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    credential: Credential,
}

#[derive(Clone, Debug)]
enum Credential {
    None,
    Token(String),
    Cookie(String),
}

/// A status and a body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Header values by lower-case name.
    pub headers: header::HeaderMap,
    /// Body as text.
    pub text: String,
}

impl Answer {
    /// The body as JSON; panics with the text where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{}: not JSON ({error}): {}", self.status, self.text))
    }

    /// Panics unless the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "body: {}", self.text);
        self
    }
}

impl Client {
    /// A client without a credential.
    pub fn new(base: &str) -> Self {
        // Several parts of the process may be first; whoever is second changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .build()
            .expect("a client");
        Self { http, base: base.trim_end_matches('/').to_owned(), credential: Credential::None }
    }

    /// The same with a bearer token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { credential: Credential::Token(token.to_owned()), ..self.clone() }
    }

    /// The same with a cookie, as `name=value`.
    pub fn with_cookie(&self, cookie: &str) -> Self {
        Self { credential: Credential::Cookie(cookie.to_owned()), ..self.clone() }
    }

    /// Signs in as a person does; panics where that fails.
    pub async fn signed_in(&self, user: &str, password: &str) -> Self {
        self.try_signed_in(user, password).await.unwrap_or_else(|error| panic!("login of {user}: {error}"))
    }

    /// Signs in where the server may be gone.
    pub async fn try_signed_in(&self, user: &str, password: &str) -> Result<Self, String> {
        let form = [("username", user), ("password", password), ("redirect", "/")];
        let answer = self.http.post(format!("{}/login", self.base)).form(&form).send().await;
        let answer = answer.map_err(|error| chain(&error))?;
        if !answer.status().is_redirection() {
            return Err(format!("status {}", answer.status()));
        }
        let cookie = answer
            .headers()
            .get_all(header::SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find(|value| value.starts_with("cc_session="))
            .and_then(|value| value.split(';').next())
            .ok_or("no session cookie")?
            .to_owned();
        Ok(Self { credential: Credential::Cookie(cookie), ..self.clone() })
    }

    /// The address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The value of the session cookie with its name, where one is held.
    pub fn cookie(&self) -> Option<&str> {
        match &self.credential {
            Credential::Cookie(cookie) => Some(cookie),
            _ => None,
        }
    }

    /// A request with the credential.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.credential {
            Credential::None => request,
            Credential::Token(token) => request.header("X-Auth-Token", token),
            Credential::Cookie(cookie) => request.header(header::COOKIE, cookie),
        }
    }

    /// Sends a request; an error of the connection comes back as text.
    pub async fn try_send(request: RequestBuilder) -> Result<Answer, String> {
        let answer = request.send().await.map_err(|error| chain(&error))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.map_err(|error| chain(&error))?;
        Ok(Answer { status, headers, text })
    }

    /// Sends a request; panics where the connection fails.
    pub async fn send(request: RequestBuilder) -> Answer {
        Self::try_send(request).await.unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        Self::send(self.request(Method::GET, path)).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Self::send(self.request(Method::POST, path).json(body)).await
    }

    /// POST of JSON where the server may be gone.
    pub async fn try_post(&self, path: &str, body: &Value) -> Result<Answer, String> {
        Self::try_send(self.request(Method::POST, path).json(body)).await
    }

    /// POST of line protocol for a default cluster.
    pub async fn write(&self, cluster: &str, lines: String) -> Answer {
        Self::send(self.request(Method::POST, &format!("/api/write/?cluster={cluster}")).body(lines)).await
    }

    /// POST of line protocol where the server may be gone.
    pub async fn try_write(&self, cluster: &str, lines: String) -> Result<Answer, String> {
        let path = format!("/api/write/?cluster={cluster}");
        Self::try_send(self.request(Method::POST, &path).body(lines)).await
    }

    /// A GraphQL query; panics on errors.
    pub async fn graphql(&self, query: &str, variables: Value) -> Value {
        let answer = self.try_graphql(query, variables).await;
        assert!(answer.get("errors").is_none(), "{query}: {answer}");
        answer["data"].clone()
    }

    /// A GraphQL query with its errors.
    pub async fn try_graphql(&self, query: &str, variables: Value) -> Value {
        self.post("/query", &json!({"query": query, "variables": variables})).await.json()
    }
}

/// An error with its sources, for a failure message.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
