/**
 * What shells run to complete a command line of gfs. Each asks `gfs __complete -- WORD...`, whose last word is the one to be
 * completed, and which answers a line for each candidate, "w" and the word, and "f" where files of this machine may stand.
 */
export const COMPLETION_SCRIPTS: Readonly<Record<string, string>> = {
  bash: String.raw`# bash completion for gfs:  source <(gfs completion bash)
_gfs_add() {
  [[ $1 == */ ]] && compopt -o nospace 2>/dev/null
  COMPREPLY+=("$(printf %q "${'$'}{1#"$2"}")")
}
_gfs() {
  local word line current before
  local -a words=()
  # For bash a colon ends a word.
  for word in "${'$'}{COMP_WORDS[@]:1:COMP_CWORD}"; do
    word=${'$'}{word//\\/}
    if [[ ${'$'}{#words[@]} -gt 0 && ( $word == :* || ${'$'}{words[-1]} == *: ) ]]; then
      words[-1]+=$word
    else
      words+=("$word")
    fi
  done
  current=${'$'}{words[-1]}
  before=${'$'}{current%"${'$'}{current##*:}"}
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      w*) _gfs_add "${'$'}{line:2}" "$before" ;;
      f)
        while IFS= read -r line; do
          [[ -d $line ]] && line+=/
          _gfs_add "$line" "$before"
        done < <(compgen -f -- "$current")
        ;;
    esac
  done < <("${'$'}{COMP_WORDS[0]}" __complete -- "${'$'}{words[@]}" 2>/dev/null)
}
complete -F _gfs gfs
`,
  zsh: `#compdef gfs
# zsh completion for gfs:  source <(gfs completion zsh)
_gfs() {
  local line
  local -a whole begun
  for line in "${'$'}{(@f)$(${'$'}{words[1]} __complete -- "${'$'}{(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $line in
      f) _files ;;
      w*/) begun+=("${'$'}{line[3,-1]}") ;;
      w*) whole+=("${'$'}{line[3,-1]}") ;;
    esac
  done
  (( $#begun )) && compadd -S '' -- "${'$'}{begun[@]}"
  (( $#whole )) && compadd -- "${'$'}{whole[@]}"
}
compdef _gfs gfs
`,
  fish: `# fish completion for gfs:  gfs completion fish | source
function __gfs_complete
  # As it is typed, the last word has its quotes and backslashes still.
  set -l typed (commandline -ct)
  set -l current (string unescape -- "$typed"); or set current "$typed"
  set -l words (commandline -opc) "$current"
  for line in (gfs __complete -- $words[2..-1] 2>/dev/null)
    switch $line
      case f
        __fish_complete_path "$current"
      case 'w*'
        string sub -s 3 -- $line
    end
  end
end
complete -c gfs -f -a '(__gfs_complete)'
`,
};
