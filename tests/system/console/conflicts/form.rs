//! A form of a page, as a browser without scripts reads, fills in and sends it.

/// A field of a form.
#[derive(Debug, Clone)]
struct Field {
    name: String,
    value: String,
    kind: String,
    /// Whether the field is sent.
    is_sent: bool,
}

/// A form with the method `post`.
#[derive(Debug, Clone)]
pub(super) struct Form {
    action: String,
    fields: Vec<Field>,
    /// The values of the buttons with the name `action`.
    buttons: Vec<String>,
}

impl Form {
    /// Reads the form of the main part of a page.
    pub(super) fn of(page: &str) -> Self {
        let (_, main) = page.split_once("<main").unwrap();
        let (before, rest) = main.split_once(" method=\"post\"").unwrap();
        let (_, head) = before.rsplit_once('<').unwrap();
        assert!(head.starts_with("form"), "{head}");
        let (opening, rest) = rest.split_once('>').unwrap();
        let (content, _) = rest.split_once("</form>").unwrap();

        let mut form = Self {
            action: attribute(opening, "action").unwrap(),
            fields: Vec::new(),
            buttons: Vec::new(),
        };
        for element in content.split('<').skip(1) {
            form.read(element);
        }
        form
    }

    /// Reads an element from its name to the next element.
    fn read(&mut self, element: &str) {
        let (name, _) = element.split_once([' ', '>']).unwrap_or((element, ""));
        let of = |attribute_name| attribute(element, attribute_name);
        match name {
            "input" => {
                let kind = of("type").unwrap_or_default();
                let is_choice = ["radio", "checkbox"].contains(&kind.as_str());
                let has_checked = element.split_once('>').unwrap().0.ends_with(" checked")
                    || element.contains(" checked ");
                self.fields.extend(of("name").map(|name| Field {
                    name,
                    value: of("value").unwrap_or_default(),
                    kind,
                    is_sent: !is_choice || has_checked,
                }));
            }
            "textarea" => self.fields.push(Field {
                name: of("name").unwrap(),
                value: decoded(element.split_once('>').unwrap().1),
                kind: "textarea".to_owned(),
                is_sent: true,
            }),
            "button" => self.buttons.extend(of("value")),
            _ => {}
        }
    }

    /// Returns the path below the console that the form is sent to.
    pub(super) fn path(&self) -> String {
        let path = self.action.trim_start_matches("./");
        path.trim_start_matches("../").to_owned()
    }

    /// Selects an option.
    pub(super) fn pick(&mut self, name: &str, value: &str) {
        let mut is_found = false;
        for field in &mut self.fields {
            if field.name == name && field.kind == "radio" {
                field.is_sent = field.value == value;
                is_found |= field.is_sent;
            }
        }
        assert!(is_found, "no option {name}={value} in {self:?}");
    }

    /// Returns the selected option.
    pub(super) fn picked(&self, name: &str) -> Option<&str> {
        let mut options = self.fields.iter().filter(|field| field.name == name);
        let selected = options.find(|field| field.kind == "radio" && field.is_sent);
        selected.map(|field| field.value.as_str())
    }

    /// Selects every checkbox.
    pub(super) fn check_all(&mut self) {
        for field in &mut self.fields {
            field.is_sent |= field.kind == "checkbox";
        }
    }

    /// Enters a text.
    pub(super) fn enter(&mut self, name: &str, text: &str) {
        let mut fields = self.fields.iter_mut();
        let field = fields.find(|field| field.name == name).unwrap();
        text.clone_into(&mut field.value);
    }

    /// Returns the value of a field.
    pub(super) fn value(&self, name: &str) -> &str {
        let mut fields = self.fields.iter().filter(|field| field.name == name);
        fields.next().map_or("", |field| &field.value)
    }

    /// Returns the number of fields with this name.
    pub(super) fn count(&self, name: &str) -> usize {
        self.fields
            .iter()
            .filter(|field| field.name == name)
            .count()
    }

    /// Returns the fields as a browser encodes them. `button` is the value of the pressed button;
    /// it is empty for a button without a name.
    pub(super) fn encoded(&self, button: &str) -> String {
        let mut encoder = form_urlencoded::Serializer::new(String::new());
        for field in self.fields.iter().filter(|field| field.is_sent) {
            encoder.append_pair(&field.name, &field.value);
        }
        if !button.is_empty() {
            assert!(self.buttons.iter().any(|value| value == button), "{self:?}");
            encoder.append_pair("action", button);
        }
        encoder.finish()
    }
}

/// Returns the decoded value of an attribute.
fn attribute(element: &str, name: &str) -> Option<String> {
    let (_, rest) = element.split_once(&format!(" {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(decoded(value))
}

fn decoded(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    text.replace("&quot;", "\"").replace("&amp;", "&")
}
