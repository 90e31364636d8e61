//! Form bodies, urlencoded or multipart, in the body only: credentials have no business in addresses (rest-api.md 2.9).

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, Multipart};
use http::{HeaderMap, HeaderValue, Request, header};

use crate::problem::Problem;

/// The fields of a form.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads a body that was read whole already.
    pub(super) async fn read(headers: &HeaderMap, body: Bytes) -> Result<Self, Problem> {
        let kind = headers.get(header::CONTENT_TYPE);
        let is_multipart =
            kind.and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.starts_with("multipart/"));
        let kind = match kind {
            Some(kind) if is_multipart => kind.clone(),
            _ => HeaderValue::from_static("application/x-www-form-urlencoded"),
        };
        let mut request = Request::post("/").body(Body::from(body)).map_err(|_| unreadable())?;
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        if is_multipart { Self::multipart(request).await } else { Self::urlencoded(request).await }
    }

    async fn urlencoded(request: Request<Body>) -> Result<Self, Problem> {
        let form = axum::Form::<Vec<(String, String)>>::from_request(request, &()).await;
        form.map(|form| Self(form.0)).map_err(|_| unreadable())
    }

    async fn multipart(request: Request<Body>) -> Result<Self, Problem> {
        let mut parts = Multipart::from_request(request, &()).await.map_err(|_| unreadable())?;
        let mut fields = Vec::new();
        while let Some(part) = parts.next_field().await.map_err(|_| unreadable())? {
            let name = part.name().unwrap_or_default().to_owned();
            fields.push((name, part.text().await.map_err(|_| unreadable())?));
        }
        Ok(Self(fields))
    }

    /// The first value of a field; empty when it is missing.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

fn unreadable() -> Problem {
    Problem::bad("the form cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(kind: Option<&'static str>, body: &'static str) -> Result<Fields, Problem> {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        Fields::read(&headers, Bytes::from_static(body.as_bytes())).await
    }

    #[tokio::test]
    async fn both_kinds_of_forms_are_read_and_the_first_value_wins() {
        for (kind, body) in [
            (Some("application/x-www-form-urlencoded"), "username=a%20b&password=p%3A1&username=c"),
            (None, "username=a+b&password=p:1"),
            (
                Some("multipart/form-data; boundary=x"),
                "--x\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\na b\r\n\
                 --x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\np:1\r\n--x--\r\n",
            ),
        ] {
            let fields = read(kind, body).await.unwrap();
            assert_eq!((fields.get("username"), fields.get("password")), ("a b", "p:1"), "{kind:?}");
            assert_eq!(fields.get("redirect"), "");
        }
    }

    #[tokio::test]
    async fn broken_forms_are_refused() {
        assert!(read(Some("multipart/form-data"), "x").await.is_err());
        assert!(read(Some("multipart/form-data; boundary=x"), "--x\r\nbroken").await.is_err());
    }
}
