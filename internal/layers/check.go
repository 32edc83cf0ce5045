package layers

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// check returns what one file breaks. name is the file's path relative to the root of the module, with slashes; src is its text.
func check(name, src string) ([]string, error) {
	dir := path.Dir(name)
	here := roomOf(dir)
	ban := banOf(here)
	mode := parser.ImportsOnly
	if ban != nil {
		mode = parser.SkipObjectResolution
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, mode)
	if err != nil {
		return nil, err
	}
	var found []string
	report := func(pos token.Pos, format string, args ...any) {
		p := fset.Position(pos)
		found = append(found, fmt.Sprintf("%s:%d: %s", p.Filename, p.Line, fmt.Sprintf(format, args...)))
	}
	for _, imp := range file.Imports {
		target, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			return nil, err
		}
		if complaint := arrow(here, target); complaint != "" {
			report(imp.Pos(), "%s", complaint)
		}
		if ban != nil && slices.Contains(ban.imports, target) {
			report(imp.Pos(), "%s must not import %s: %s", here, target, ban.why)
		}
	}
	if ban != nil {
		purity(file, here, ban, report)
	}
	return found, nil
}

// arrow says what is wrong with an import from one room, or "".
func arrow(here, target string) string {
	if here == "" || target != module && !strings.HasPrefix(target, module+"/") {
		return ""
	}
	dir := strings.TrimPrefix(strings.TrimPrefix(target, module), "/")
	if dir == "" {
		dir = "."
	}
	there := roomOf(dir)
	if there == here && there != "" {
		return ""
	}
	for _, r := range rooms {
		if r.path == here && there != "" && slices.Contains(r.imports, there) {
			return ""
		}
	}
	return fmt.Sprintf("%s must not import %s", here, target)
}

// purity reports banned selectors and concurrency.
func purity(file *ast.File, here string, ban *banned, report func(token.Pos, string, ...any)) {
	names := importNames(file)
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok && names[id.Name] != "" {
				if full := names[id.Name] + "." + n.Sel.Name; slices.Contains(ban.selectors, full) {
					report(n.Pos(), "%s must not use %s: %s", here, full, ban.why)
				}
			}
		case *ast.GoStmt:
			concurrent(n, "a goroutine", here, ban, report)
		case *ast.ChanType:
			concurrent(n, "a channel", here, ban, report)
		case *ast.SendStmt:
			concurrent(n, "a channel", here, ban, report)
		case *ast.SelectStmt:
			concurrent(n, "select", here, ban, report)
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				concurrent(n, "a channel", here, ban, report)
			}
		}
		return true
	})
}

func concurrent(n ast.Node, what, here string, ban *banned, report func(token.Pos, string, ...any)) {
	if ban.concurrency {
		report(n.Pos(), "%s must not use %s: %s", here, what, ban.why)
	}
}

// importNames maps the names a file uses to import paths, so that a renamed import does not hide what it is.
func importNames(file *ast.File) map[string]string {
	names := make(map[string]string, len(file.Imports))
	for _, imp := range file.Imports {
		target, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(target)
		if imp.Name != nil {
			name = imp.Name.Name
		}
		names[name] = target
	}
	return names
}

func banOf(here string) *banned {
	for i := range bans {
		if bans[i].room == here {
			return &bans[i]
		}
	}
	return nil
}
