/** What scripts for git and for uploads both use: constant POSIX sh. */

/** \`minus <file>\`: the lines of stdin that are not lines of the file. */
export const minus = `
minus() {
  list=$1 awk 'BEGIN { file = ENVIRON["list"]; while ((getline line <file) > 0) drop[line] } !($0 in drop)'
}
`;

/**
 * From lines \`has <path>\` and \`differs <path>\`, one for each version that has the path and for each that it is not
 * as in: the paths that are there and as in no version. A work tree may be a mixture of versions after an interrupted
 * run; what is as in none of them a person changed.
 */
export const asInNone = `
as_in_none() {
  awk '{ kind = $1; sub(/^[a-z]+ /, "") } kind == "has" { has[$0]++ } kind == "differs" { differs[$0]++ }
    END { for (path in has) if (differs[path] == has[path]) print path }' | sort |
    while IFS= read -r file; do if [ -e "$file" ] || [ -L "$file" ]; then printf '%s\\n' "$file"; fi; done
}
`;
