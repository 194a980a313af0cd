//! What is printed for people: headings, sentences, lists and tables; on a terminal or as Markdown.
//!
//! A document is built once from a contract and rendered twice, so that both always say the same.
//! Styles are ANSI codes; the console strips them where they are not wanted.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table as Grid, presets};
use owo_colors::{OwoColorize, Style};

/// How a document is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For a terminal.
    Terminal,
    /// Markdown.
    Markdown,
}

/// What a piece of text means for the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// To be looked at.
    Doubtful,
    /// Not as it should be.
    Bad,
    /// Of little weight.
    Faint,
}

/// Text with its tone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    text: String,
    tone: Tone,
}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

impl Text {
    /// Text with a tone.
    pub(crate) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }

    fn styled(&self) -> String {
        let style = match self.tone {
            Tone::Plain => return self.text.clone(),
            Tone::Good => Style::new().green(),
            Tone::Doubtful => Style::new().yellow(),
            Tone::Bad => Style::new().red().bold(),
            Tone::Faint => Style::new().dimmed(),
        };
        self.text.style(style).to_string()
    }
}

/// A table: the first `labels` columns are words, the others figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    headers: Vec<String>,
    labels: usize,
    rows: Vec<Vec<Text>>,
}

impl Table {
    /// An empty table whose first `labels` columns are aligned as words.
    pub(crate) fn new<H: Into<String>>(labels: usize, headers: impl IntoIterator<Item = H>) -> Self {
        Self { headers: headers.into_iter().map(Into::into).collect(), labels, rows: Vec::new() }
    }

    /// A table of words only.
    pub(crate) fn of_words<H: Into<String>>(headers: impl IntoIterator<Item = H>) -> Self {
        Self::new(usize::MAX, headers)
    }

    /// Adds a row.
    pub(crate) fn row<T: Into<Text>>(&mut self, cells: impl IntoIterator<Item = T>) -> &mut Self {
        self.rows.push(cells.into_iter().map(Into::into).collect());
        self
    }

    /// Whether it has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn render(&self, form: Form) -> String {
        let mut grid = Grid::new();
        match form {
            Form::Terminal => {
                grid.load_style(presets::NOTHING);
                grid.set_content_arrangement(ContentArrangement::Dynamic);
                grid.set_header(self.headers.iter().map(|text| Cell::new(text).add_attribute(Attribute::Bold)));
                // Colour is decided at the console, for both streams alike.
                grid.enforce_styling();
                grid.style_text_only();
            }
            Form::Markdown => {
                grid.load_style(presets::ASCII_MARKDOWN);
                grid.set_content_arrangement(ContentArrangement::Disabled);
                grid.set_header(self.headers.iter().map(|text| Cell::new(escape(text))));
                grid.force_no_tty();
            }
        }
        for row in &self.rows {
            grid.add_row(row.iter().map(|text| cell(text, form)));
        }
        for (at, column) in grid.column_iter_mut().enumerate() {
            if at >= self.labels {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let lines: Vec<String> = grid.lines().map(|line| line.trim_end().to_owned()).collect();
        let mut text = lines.join("\n");
        if form == Form::Markdown {
            text = right_aligned(&text, self.labels);
        }
        text.push('\n');
        text
    }
}

fn cell(text: &Text, form: Form) -> Cell {
    if form == Form::Markdown {
        return Cell::new(escape(&text.text));
    }
    let cell = Cell::new(&text.text);
    match text.tone {
        Tone::Plain => cell,
        Tone::Good => cell.fg(Color::DarkGreen),
        Tone::Doubtful => cell.fg(Color::DarkYellow),
        Tone::Bad => cell.fg(Color::DarkRed).add_attribute(Attribute::Bold),
        Tone::Faint => cell.add_attribute(Attribute::Dim),
    }
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// Marks the columns of figures in the line below a Markdown table's header.
fn right_aligned(table: &str, labels: usize) -> String {
    let mark = |line: &str| {
        let cells = line.split('|').collect::<Vec<_>>();
        let last = cells.len().saturating_sub(1);
        let marked = cells.iter().enumerate().map(|(at, cell)| {
            // The first piece is what stands before the first bar.
            if at > labels && at < last && cell.ends_with('-') {
                format!("{}:", &cell[..cell.len() - 1])
            } else {
                (*cell).to_owned()
            }
        });
        marked.collect::<Vec<_>>().join("|")
    };
    table
        .lines()
        .enumerate()
        .map(|(at, line)| if at == 1 { mark(line) } else { line.to_owned() })
        .collect::<Vec<_>>()
        .join("\n")
}

/// A part of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Block {
    Heading(String),
    Sentence(Text),
    Items(Vec<Text>),
    Verbatim(String),
    Table(Table),
}

/// Headings, sentences, lists and tables in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Document {
    blocks: Vec<Block>,
}

impl Document {
    /// Adds a heading.
    pub(crate) fn heading(&mut self, text: impl Into<String>) -> &mut Self {
        self.blocks.push(Block::Heading(text.into()));
        self
    }

    /// Adds a sentence.
    pub(crate) fn sentence(&mut self, text: impl Into<Text>) -> &mut Self {
        self.blocks.push(Block::Sentence(text.into()));
        self
    }

    /// Adds a list; an empty one adds nothing.
    pub(crate) fn items<T: Into<Text>>(&mut self, items: impl IntoIterator<Item = T>) -> &mut Self {
        let items: Vec<Text> = items.into_iter().map(Into::into).collect();
        if !items.is_empty() {
            self.blocks.push(Block::Items(items));
        }
        self
    }

    /// Adds text that is laid out already.
    pub(crate) fn verbatim(&mut self, text: impl Into<String>) -> &mut Self {
        self.blocks.push(Block::Verbatim(text.into()));
        self
    }

    /// Adds a table; an empty one adds nothing.
    pub(crate) fn table(&mut self, table: Table) -> &mut Self {
        if !table.is_empty() {
            self.blocks.push(Block::Table(table));
        }
        self
    }

    /// Adds all of another document.
    pub(crate) fn append(&mut self, other: Self) -> &mut Self {
        self.blocks.extend(other.blocks);
        self
    }

    /// The document as text.
    pub(crate) fn render(&self, form: Form) -> String {
        let mut out = String::new();
        for (at, block) in self.blocks.iter().enumerate() {
            let follows_heading = form == Form::Terminal && at > 0 && matches!(self.blocks[at - 1], Block::Heading(_));
            if at > 0 && !follows_heading {
                out.push('\n');
            }
            write_block(&mut out, block, form);
        }
        out
    }
}

fn write_block(out: &mut String, block: &Block, form: Form) {
    // Writing to a String cannot fail.
    let _ = match (block, form) {
        (Block::Heading(text), Form::Terminal) => writeln!(out, "{}", text.style(Style::new().bold().underline())),
        (Block::Heading(text), Form::Markdown) => writeln!(out, "## {text}"),
        (Block::Sentence(text), Form::Terminal) => writeln!(out, "{}", text.styled()),
        (Block::Sentence(text), Form::Markdown) => writeln!(out, "{}", text.text),
        (Block::Items(items), _) => {
            for item in items {
                let text = if form == Form::Terminal { item.styled() } else { item.text.clone() };
                let _ = writeln!(out, "- {text}");
            }
            Ok(())
        }
        (Block::Verbatim(text), Form::Terminal) => writeln!(out, "{}", text.trim_end()),
        (Block::Verbatim(text), Form::Markdown) => writeln!(out, "```text\n{}\n```", text.trim_end()),
        (Block::Table(table), _) => write!(out, "{}", table.render(form)),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let mut table = Table::new(1, ["profile", "rate"]);
        table.row([Text::new("a|b", Tone::Good), "1 k/s".into()]);
        let mut document = Document::default();
        document.heading("Throughput").table(table).sentence("Done.").items(Vec::<Text>::new());
        let markdown = document.render(Form::Markdown);
        assert_eq!(
            markdown,
            "## Throughput\n\n| profile |  rate |\n|---------|------:|\n| a\\|b    | 1 k/s |\n\nDone.\n"
        );
        let terminal = anstream::adapter::strip_str(&document.render(Form::Terminal)).to_string();
        assert_eq!(terminal, "Throughput\n profile   rate\n a|b      1 k/s\n\nDone.\n");
    }
}
