//! The applications that customers use.

/// An application and the client with which it is used.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) client_id: &'static str,
    pub(crate) client_name: &'static str,
}

/// Another application, in one line.
const fn of(
    id: &'static str,
    name: &'static str,
    client_id: &'static str,
    client_name: &'static str,
) -> Application {
    Application { id, name, client_id, client_name }
}

/// The platform's applications.
pub(crate) static APPLICATIONS: [Application; 4] = [
    of("web-shop", "Web shop", "web-shop-browser", "Web shop, browser"),
    of("loyalty", "Loyalty club", "loyalty-app-ios", "Loyalty club, iOS"),
    of("support", "Support desk", "support-portal", "Support portal"),
    of("invoices", "My invoices", "invoices-browser", "My invoices, browser"),
];

/// Where administrators work.
pub(crate) static CONSOLE: Application =
    of("console", "Admin console", "console-browser", "Admin console, browser");
