// Package platformdoc holds the tests of docs/platform.md: what it says of tests, operations, rules, addresses and
// error texts must be so.
package platformdoc
