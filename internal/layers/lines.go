package layers

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
)

// levels are the methods that write a line for operators.
var levels = []string{"Debug", "Info", "Warn", "Error", "DebugContext", "InfoContext", "WarnContext", "ErrorContext"}

// checkLines returns the log lines of one file that name a saga without its shard: operators look for what else happened to the shard at that time. The
// node is in every line, from the logger that Open makes.
func checkLines(name, src string) ([]string, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains(levels, method.Sel.Name) {
			return true
		}
		if keys := texts(call.Args); slices.Contains(keys, "saga") && !slices.Contains(keys, "shard") {
			p := fset.Position(call.Pos())
			found = append(found, fmt.Sprintf("%s:%d: a log line has the field saga and not shard", p.Filename, p.Line))
		}
		return true
	})
	return found, nil
}

// texts returns those of the arguments that are string literals.
func texts(args []ast.Expr) (list []string) {
	for _, a := range args {
		if lit, ok := a.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				list = append(list, text)
			}
		}
	}
	return list
}
