//! Words become a tree.

use regex::Regex;

use super::builtins::{self, Builtin};
use super::lexer::{Token, words};
use super::{SyntaxError, Value};
use crate::tagger::pattern;

/// Nodes of one expression.
const NODES_MAX: usize = 10_000;
/// Expressions within each other.
const DEPTH_MAX: usize = 60;
/// Operators and members in all: a row of them is a tree as deep as it is long, and whoever walks it has a small stack.
const LINKS_MAX: usize = 300;

/// A node.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Literal(Value),
    Name(String),
    /// `#`, `#index`, `#acc` inside a predicate.
    Pointer(Pointer),
    /// All names (`$env`).
    Everything,
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Plus(Box<Node>),
    Binary(Op, Box<Node>, Box<Node>),
    Matches(Box<Node>, Box<Pattern>),
    Choose(Box<[Node; 3]>),
    Let(String, Box<[Node; 2]>),
    /// Object, key, whether nil ends the chain.
    Member(Box<Node>, Box<Node>, bool),
    Slice(Box<Node>, Option<Box<Node>>, Option<Box<Node>>),
    /// A chain with `?.` in it: where that met nil, all of it is nil.
    Chain(Box<Node>),
    Call(Builtin, Vec<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pointer {
    Item,
    Index,
    Accumulator,
}

/// The right side of `matches`.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    Fixed(Regex),
    Computed(Node),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
    In,
    Contains,
    StartsWith,
    EndsWith,
    Range,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
    OrElse,
}

/// Parses a whole text.
pub(super) fn parse(source: &str) -> Result<Node, SyntaxError> {
    let mut parser = Parser { source, words: words(source)?, at: 0, nodes: 0, depth: 0, links: 0 };
    let node = parser.expression(0)?;
    match parser.peek() {
        Token::End => Ok(node),
        _ => Err(parser.unexpected()),
    }
}

struct Parser<'source> {
    source: &'source str,
    words: Vec<(Token, usize)>,
    at: usize,
    nodes: usize,
    depth: usize,
    links: usize,
}

/// The operator of a word, with its binding strength.
fn operator(token: &Token) -> Option<(Op, u32)> {
    Some(match token {
        Token::Op("||") => (Op::Or, 10),
        Token::Op("&&") => (Op::And, 15),
        Token::Op("==") => (Op::Equal, 20),
        Token::Op("!=") => (Op::Unequal, 20),
        Token::Op("<") => (Op::Less, 20),
        Token::Op(">") => (Op::Greater, 20),
        Token::Op("<=") => (Op::LessOrEqual, 20),
        Token::Op(">=") => (Op::GreaterOrEqual, 20),
        Token::Op("..") => (Op::Range, 25),
        Token::Op("+") => (Op::Add, 30),
        Token::Op("-") => (Op::Subtract, 30),
        Token::Op("*") => (Op::Multiply, 60),
        Token::Op("/") => (Op::Divide, 60),
        Token::Op("%") => (Op::Remainder, 60),
        Token::Op("**" | "^") => (Op::Power, 100),
        Token::Op("??") => (Op::OrElse, 500),
        Token::Name(name) => match name.as_str() {
            "or" => (Op::Or, 10),
            "and" => (Op::And, 15),
            "in" => (Op::In, 20),
            "contains" => (Op::Contains, 20),
            "startsWith" => (Op::StartsWith, 20),
            "endsWith" => (Op::EndsWith, 20),
            _ => return None,
        },
        _ => return None,
    })
}

type Parsed = Result<Node, SyntaxError>;

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.words.get(self.at).map_or(&Token::End, |(token, _)| token)
    }

    fn ahead(&self) -> &Token {
        self.words.get(self.at + 1).map_or(&Token::End, |(token, _)| token)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn offset(&self) -> usize {
        self.words.get(self.at).map_or(self.source.len(), |(_, offset)| *offset)
    }

    fn error<T>(&self, problem: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError::at(self.source, self.offset(), problem))
    }

    fn unexpected(&self) -> SyntaxError {
        let what = match self.peek() {
            Token::End => "end of the expression".to_owned(),
            Token::Op(operator) => format!("{operator:?}"),
            Token::Name(name) => format!("name {name:?}"),
            Token::Text(_) => "text".to_owned(),
            Token::Int(_) | Token::Float(_) => "number".to_owned(),
        };
        SyntaxError::at(self.source, self.offset(), format!("unexpected {what}"))
    }

    fn is(&self, operator: &str) -> bool {
        matches!(self.peek(), Token::Op(found) if *found == operator)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Token::Name(found) if found == name)
    }

    fn take(&mut self, operator: &str) -> bool {
        let found = self.is(operator);
        self.at += usize::from(found);
        found
    }

    fn take_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, operator: &str) -> Result<(), SyntaxError> {
        if self.take(operator) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn name(&mut self) -> Result<String, SyntaxError> {
        match self.peek() {
            Token::Name(name) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// Counts a node.
    fn node(&mut self, node: Node) -> Parsed {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return self.error(format!("the expression has more than {NODES_MAX} parts"));
        }
        Ok(node)
    }

    /// Counts what makes a tree deeper on its left side.
    fn link(&mut self) -> Result<(), SyntaxError> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return self.error(format!("the expression has more than {LINKS_MAX} operators and members"));
        }
        Ok(())
    }

    /// An expression whose operators bind at least as strongly as `least`; with 0 also the weakest forms.
    fn expression(&mut self, least: u32) -> Parsed {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.error(format!("the expression is nested more than {DEPTH_MAX} deep"));
        }
        let parsed = self.expression_within(least);
        self.depth -= 1;
        parsed
    }

    fn expression_within(&mut self, least: u32) -> Parsed {
        if least == 0 {
            if self.is_name("let") && matches!(self.ahead(), Token::Name(_)) {
                self.at += 1;
                let name = self.name()?;
                self.expect("=")?;
                let value = self.expression(0)?;
                self.expect(";")?;
                let body = self.expression(0)?;
                return self.node(Node::Let(name, Box::new([value, body])));
            }
            if self.is_name("if") {
                return self.choice();
            }
        }
        let mut left = self.unary()?;
        loop {
            let negated = self.is_name("not")
                && {
                    let next = self.ahead();
                    matches!(next, Token::Name(name) if ["in", "matches", "contains", "startsWith", "endsWith"].contains(&name.as_str()))
                };
            self.at += usize::from(negated);
            if self.is_name("matches") && least <= 20 {
                self.at += 1;
                left = self.matches(left)?;
            } else if let Some((op, strength)) =
                operator(self.peek()).filter(|(_, strength)| *strength >= least)
            {
                self.at += 1;
                let next = if op == Op::Power { strength } else { strength + 1 };
                let right = self.expression(next)?;
                left = self.node(Node::Binary(op, Box::new(left), Box::new(right)))?;
            } else {
                self.at -= usize::from(negated);
                break;
            }
            self.link()?;
            if negated {
                left = self.node(Node::Not(Box::new(left)))?;
            }
        }
        if least > 0 {
            return Ok(left);
        }
        loop {
            if self.take("?") {
                let yes = self.expression(0)?;
                self.expect(":")?;
                let no = self.expression(0)?;
                left = self.node(Node::Choose(Box::new([left, yes, no])))?;
            } else if self.take("|") {
                let offset = self.offset();
                let name = self.name()?;
                self.expect("(")?;
                left = self.call(&name, offset, Some(left))?;
                left = self.postfix(left)?;
                self.link()?;
            } else {
                break;
            }
        }
        Ok(left)
    }

    /// `if c { a } else { b }`
    fn choice(&mut self) -> Parsed {
        self.at += 1;
        let condition = self.expression(1)?;
        self.expect("{")?;
        let yes = self.expression(0)?;
        self.expect("}")?;
        if !self.is_name("else") {
            return Err(self.unexpected());
        }
        self.at += 1;
        let no = if self.is_name("if") {
            self.expression(0)?
        } else {
            self.expect("{")?;
            let no = self.expression(0)?;
            self.expect("}")?;
            no
        };
        self.node(Node::Choose(Box::new([condition, yes, no])))
    }

    fn matches(&mut self, left: Node) -> Parsed {
        let offset = self.offset();
        let right = self.expression(21)?;
        let pattern = match right {
            Node::Literal(Value::Text(text)) => match pattern::regex(&text) {
                Ok(regex) => Pattern::Fixed(regex),
                Err(problem) => return Err(SyntaxError::at(self.source, offset, problem)),
            },
            computed => Pattern::Computed(computed),
        };
        self.node(Node::Matches(Box::new(left), Box::new(pattern)))
    }

    fn unary(&mut self) -> Parsed {
        if self.take("!") || self.take_name("not") {
            let inner = self.expression(50)?;
            return self.node(Node::Not(Box::new(inner)));
        }
        if self.take("-") {
            let inner = self.expression(90)?;
            return self.node(Node::Negate(Box::new(inner)));
        }
        if self.take("+") {
            let inner = self.expression(90)?;
            return self.node(Node::Plus(Box::new(inner)));
        }
        let primary = self.primary()?;
        self.postfix(primary)
    }

    fn primary(&mut self) -> Parsed {
        let offset = self.offset();
        let node = match self.next() {
            Token::Int(value) => Node::Literal(Value::Int(value)),
            Token::Float(value) => Node::Literal(Value::Float(value)),
            Token::Text(value) => Node::Literal(Value::text(value)),
            Token::Op("(") => {
                let inner = self.expression(0)?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Op("[") => Node::List(self.list("]")?),
            Token::Op("{") => Node::Map(self.map()?),
            Token::Op("$") => {
                if self.name()? != "env" {
                    return Err(SyntaxError::at(self.source, offset, "unknown name after $"));
                }
                Node::Everything
            }
            Token::Op("#") => match self.peek() {
                Token::Name(name) if name == "index" => {
                    self.at += 1;
                    Node::Pointer(Pointer::Index)
                }
                Token::Name(name) if name == "acc" => {
                    self.at += 1;
                    Node::Pointer(Pointer::Accumulator)
                }
                _ => Node::Pointer(Pointer::Item),
            },
            // inside a predicate: a member of the item
            Token::Op(".") => {
                let key = Node::Literal(Value::text(self.name()?));
                Node::Member(Box::new(Node::Pointer(Pointer::Item)), Box::new(key), false)
            }
            Token::Name(name) => match name.as_str() {
                "true" => Node::Literal(Value::Bool(true)),
                "false" => Node::Literal(Value::Bool(false)),
                "nil" => Node::Literal(Value::Nil),
                _ if self.take("(") => return self.call(&name, offset, None),
                _ => Node::Name(name),
            },
            _ => {
                self.at -= 1;
                return Err(self.unexpected());
            }
        };
        self.node(node)
    }

    fn list(&mut self, end: &str) -> Result<Vec<Node>, SyntaxError> {
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(self.expression(0)?);
            if !self.take(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(items)
    }

    fn map(&mut self) -> Result<Vec<(String, Node)>, SyntaxError> {
        let mut entries = Vec::new();
        while !self.take("}") {
            let key = match self.next() {
                Token::Name(key) | Token::Text(key) => key,
                Token::Int(key) => key.to_string(),
                _ => {
                    self.at -= 1;
                    return Err(self.unexpected());
                }
            };
            self.expect(":")?;
            entries.push((key, self.expression(0)?));
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(entries)
    }

    /// The rest of a call, after its opening bracket.
    fn call(&mut self, name: &str, offset: usize, first: Option<Node>) -> Parsed {
        let mut arguments: Vec<Node> = first.into_iter().collect();
        let Some(builtin) = builtins::find(name) else {
            return Err(SyntaxError::at(self.source, offset, format!("there is no function {name:?}")));
        };
        while !self.take(")") {
            // a predicate may stand in braces
            let braces = builtin.predicate && arguments.len() == 1 && self.take("{");
            arguments.push(self.expression(0)?);
            if braces {
                self.expect("}")?;
            }
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        if !builtin.arguments.contains(&arguments.len()) {
            let problem = format!("{name} takes {}, found {}", builtin.arity(), arguments.len());
            return Err(SyntaxError::at(self.source, offset, problem));
        }
        self.node(Node::Call(builtin, arguments))
    }

    fn postfix(&mut self, mut node: Node) -> Parsed {
        let mut optional = false;
        loop {
            if self.is(".") || self.is("?.") {
                let here = self.take("?.");
                self.at += usize::from(!here);
                optional |= here;
                let key = if here && self.take("[") {
                    let key = self.expression(0)?;
                    self.expect("]")?;
                    key
                } else {
                    Node::Literal(Value::text(self.name()?))
                };
                node = self.node(Node::Member(Box::new(node), Box::new(key), here))?;
            } else if self.take("[") {
                node = self.index(node)?;
            } else {
                break;
            }
            self.link()?;
        }
        if optional { self.node(Node::Chain(Box::new(node))) } else { Ok(node) }
    }

    fn index(&mut self, object: Node) -> Parsed {
        if self.take(":") {
            let end = if self.is("]") { None } else { Some(Box::new(self.expression(0)?)) };
            self.expect("]")?;
            return self.node(Node::Slice(Box::new(object), None, end));
        }
        let key = self.expression(0)?;
        if self.take(":") {
            let end = if self.is("]") { None } else { Some(Box::new(self.expression(0)?)) };
            self.expect("]")?;
            return self.node(Node::Slice(Box::new(object), Some(Box::new(key)), end));
        }
        self.expect("]")?;
        self.node(Node::Member(Box::new(object), Box::new(key), false))
    }
}
