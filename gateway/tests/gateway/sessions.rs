//! Signing in, staying in, signing out.

use http::{Method, Request, header};

use crate::house::{Answer, House, request};

async fn sign_in(house: &House, form: &'static str) -> Answer {
    let form = request(Method::POST, "/login", "")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.into())
        .unwrap();
    house.send(form).await
}

/// The value of the cookie that an answer sets.
fn cookie(answer: &Answer) -> &str {
    let value = answer.header("set-cookie").strip_prefix("cc_session=").unwrap();
    value.split(';').next().unwrap()
}

/// Without the UI there is no page to say it.
fn says(page: &Answer, text: &str) {
    assert!(!cc_web::is_built() || page.text().contains(text), "{}", page.text());
}

#[tokio::test]
async fn a_good_login_sets_the_cookie_and_leads_on() {
    let house = House::new();
    let answer = sign_in(
        &house,
        "username=alice&password=pw-alice%3A1!&redirect=%2Fmonitoring%2Fjobs%2F%3Fstate%3Dfailed",
    )
    .await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/monitoring/jobs/?state=failed"));
    let session = cookie(&answer).to_owned();
    assert_eq!(
        answer.header("set-cookie"),
        format!("cc_session={session}; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax")
    );
    assert_eq!(house.browse("/", &session).await.status, 200);
    assert_eq!(house.fakes.auth.get().addresses, ["127.0.0.1"]);
}

#[tokio::test]
async fn a_multipart_form_does_as_well() {
    let house = House::new();
    let body = "--x\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nalice\r\n\
                --x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\npw-alice:1!\r\n--x--\r\n";
    let form = request(Method::POST, "/login", "").header("content-type", "multipart/form-data; boundary=x");
    let answer = house.send(form.body(body.into()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/"));
}

#[tokio::test]
async fn a_login_never_leads_to_another_host() {
    let house = House::new();
    for form in [
        "username=alice&password=pw-alice:1!&redirect=https%3A%2F%2Fevil.example%2Fx",
        "username=alice&password=pw-alice:1!&redirect=%2F%2Fevil.example%2Fx",
        "username=alice&password=pw-alice:1!&redirect=%2F%5Cevil.example",
        "username=alice&password=pw-alice:1!&redirect=%2F%09%2Fevil.example",
        "username=alice&password=pw-alice:1!&redirect=%2Fa%0D%0ASet-Cookie%3A%20x",
    ] {
        let answer = sign_in(&house, form).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/"), "{form}");
    }
}

#[tokio::test]
async fn failures_look_the_same_whatever_was_wrong() {
    let house = House::new();
    for form in [
        "username=alice&password=wrong",
        "username=ghost&password=x",
        "username=&password=x",
        "username=alice&password=",
        "",
    ] {
        let answer = sign_in(&house, form).await;
        assert_eq!((answer.status.as_u16(), answer.header("set-cookie")), (401, ""), "{form}");
        assert!(answer.header("content-type").starts_with("text/html"), "{form}");
        says(&answer, "Authentication failed");
        says(&answer, "Login failed - ClusterCockpit");
        assert!(!answer.text().contains("bcrypt"), "{form}");
    }
    assert_eq!(house.fakes.auth.get().addresses.len(), 3, "without a name nobody needs to be asked");
}

#[tokio::test]
async fn credentials_in_the_address_count_for_nothing() {
    let house = House::new();
    let answer = house.post("/login?username=alice&password=pw-alice:1!", "", "").await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn too_many_attempts_and_outages_have_their_own_status() {
    let house = House::new();
    let often = sign_in(&house, "username=often&password=x").await;
    assert_eq!((often.status.as_u16(), often.header("retry-after")), (429, "77"));
    says(&often, "too many login attempts");
    house.fakes.auth.get().down = true;
    let down = sign_in(&house, "username=alice&password=pw-alice:1!").await;
    assert_eq!(down.status, 503);
    assert!(!down.text().contains("Authentication failed"));
}

#[tokio::test]
async fn a_new_login_ends_the_former_session_of_the_browser() {
    let house = House::new();
    let former = house.fakes.auth.get().open("alice", &["user"]);
    let form = Request::post("/login")
        .header(header::COOKIE, format!("cc_session={former}"))
        .body("username=alice&password=pw-alice:1!".into())
        .unwrap();
    assert_eq!(house.send(form).await.status, 303);
    assert!(!house.fakes.auth.get().sessions.contains_key(&former));
}

#[tokio::test]
async fn a_foreign_cookie_hurts_nobody() {
    let house = House::new();
    for cookie in ["session=abc", "session=MTIzfGFiY3w=", "cc_session=%00", "cc_session=unknown"] {
        let page = Request::get("/monitoring/jobs/").header(header::COOKIE, cookie).body("".into()).unwrap();
        assert_eq!(house.send(page).await.status, 401, "{cookie}");
        let form = Request::post("/login").header(header::COOKIE, cookie);
        let answer = house.send(form.body("username=alice&password=pw-alice:1!".into()).unwrap()).await;
        assert_eq!(answer.status, 303, "{cookie}");
        assert!(!answer.header("set-cookie").starts_with("session="), "{cookie}");
    }
}

#[tokio::test]
async fn a_dead_session_is_cleared_with_the_attributes_it_was_set_with() {
    let house = House::new();
    let page = house.browse("/monitoring/jobs/", "unknown").await;
    assert_eq!(page.status, 401);
    assert_eq!(page.header("set-cookie"), "cc_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
}

#[tokio::test]
async fn signing_out_ends_the_session_everywhere() {
    let house = House::new();
    house.fakes.auth.get().cache_s = 60;
    let session = house.fakes.auth.get().open("alice", &["user"]);
    assert_eq!(house.browse("/", &session).await.status, 200);
    let out = Request::post("/logout")
        .header(header::COOKIE, format!("cc_session={session}"))
        .header("x-forwarded-proto", "https");
    let answer = house.send(out.body("".into()).unwrap()).await;
    assert_eq!(answer.status, 200);
    says(&answer, "Logout successful");
    assert_eq!(answer.header("set-cookie"), "cc_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
    assert_eq!(house.browse("/", &session).await.status, 401, "the cache forgot it as well");
    assert_eq!(house.post("/logout", "", "").await.status, 200, "without a session it is no error");
}
