package guestfirewall

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// token is a word of PowerShell; a parameter is without its hyphen.
type token struct {
	word
	parameter, comma, open, close bool

	colon bool // of a parameter: its value follows after a colon
}

// powerShellTokens splits a command into words, quoted strings, parameters, commas and parentheses around lists. It
// knows no variables but $true, $false and $null, and no expressions.
func powerShellTokens(text string, i int) ([]token, *Error) {
	var tokens []token
	for i < len(text) {
		c, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case unicode.IsSpace(c):
			i += size
		case c == '`' && (i+1 == len(text) || isSpace(text[i+1])): // continues on the next line
			i++
		case c == ',':
			tokens = append(tokens, token{word: word{",", i}, comma: true})
			i++
		case constant(text[i:]) != "":
			value := constant(text[i:])
			tokens = append(tokens, token{word: word{value, i}})
			i += len("$") + len(value)
		case c == '(' || strings.HasPrefix(text[i:], "@("):
			tokens = append(tokens, token{word: word{"(", i}, open: true})
			i = strings.IndexByte(text[i:], '(') + i + 1
		case c == ')':
			tokens = append(tokens, token{word: word{")", i}, close: true})
			i++
		case strings.ContainsRune("$|;&<>{}@#", c):
			return nil, fail("%q is not understood: write plain values, without variables and expressions", string(c)).
				at(i)
		case isDoubleQuote(c) || isSingleQuote(c):
			value, end, err := powerShellString(text, i)
			if err != nil {
				return nil, err
			}
			tokens = append(tokens, token{word: word{value, i}})
			i = end
		default:
			end := i + wordLength(text[i:])
			if end == i { // a lone backtick before a letter
				return nil, fail("%q is not understood", string(c)).at(i)
			}
			tokens = append(tokens, plainTokens(text[i:end], i)...)
			i = end
		}
	}
	return tokens, nil
}

// wordLength returns the length in bytes of the word that a text begins with.
func wordLength(text string) int {
	end := strings.IndexFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || isDoubleQuote(r) || isSingleQuote(r) || strings.ContainsRune(",$|;&<>(){}@`", r)
	})
	if end < 0 {
		return len(text)
	}
	return end
}

// plainTokens returns the parameter that a word is, with its value if that follows after a colon, or the word itself.
func plainTokens(text string, at int) []token {
	first, size := utf8.DecodeRuneInString(text)
	rest := text[size:]
	if letter, _ := utf8.DecodeRuneInString(rest); !isDash(first) || !unicode.IsLetter(letter) {
		return []token{{word: word{text, at}}}
	}
	name, value, colon := strings.Cut(rest, ":")
	tokens := []token{{word: word{name, at}, parameter: true, colon: colon}}
	if value != "" {
		tokens = append(tokens, token{word: word{value, at + size + len(name) + 1}})
	}
	return tokens
}

// constant returns the constant that a text begins with, in the letters of a plain one; empty: it begins with none.
func constant(text string) string {
	for _, value := range []string{"true", "false", "null"} {
		end := len("$") + len(value)
		if len(text) >= end && strings.EqualFold(text[:end], "$"+value) &&
			(len(text) == end || isSpace(text[end]) || strings.IndexByte(",);", text[end]) >= 0) {
			return value
		}
	}
	return ""
}

// powerShellString reads a quoted string and returns its value and where it ends. A quotation mark is doubled
// inside; double quotes know the backtick too.
func powerShellString(text string, start int) (string, int, *Error) {
	quote, size := utf8.DecodeRuneInString(text[start:])
	double := isDoubleQuote(quote)
	var b strings.Builder
	for i := start + size; i < len(text); {
		c, size := utf8.DecodeRuneInString(text[i:])
		next, nextSize := utf8.DecodeRuneInString(text[i+size:])
		switch {
		case sameQuote(quote, c) && i+size < len(text) && sameQuote(quote, next):
			b.WriteRune(c)
			i += size + nextSize
		case sameQuote(quote, c):
			return b.String(), i + size, nil
		case double && c == '$':
			return "", 0, fail("variables in strings are not understood").hint("write the value, or single quotes").
				at(i)
		case double && c == '`' && i+size < len(text):
			b.WriteRune(next)
			i += size + nextSize
		default:
			b.WriteString(text[i : i+size])
			i += size
		}
	}
	return "", 0, fail("the quotation mark is never closed").at(start)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
