# Builds of the native code with sanitizers, for scripts/sanitize and scripts/fuzz; sourced after lib.sh, from the root.
# shellcheck shell=bash

export PATH="$PWD/node_modules/.bin:$PATH"
# Sanitizers print stacks with file and line where they find this.
symbolizer=$(command -v llvm-symbolizer-14 || true)
[[ -z $symbolizer ]] || export ASAN_SYMBOLIZER_PATH=$symbolizer

# node_gyp_build FOLDER GYP-FILE: builds in FOLDER, apart from the product's own build/. Only what changed is compiled.
# CXX, CXXFLAGS and LDFLAGS of the environment count.
node_gyp_build() {
  local folder=$1 gyp=$2 prefix key
  prefix=$(dirname "$(dirname "$(readlink -f "$(node -p process.execPath)")")")
  local options=(configure build "--directory=$folder" --jobs=max)
  [[ ! -e $prefix/include/node/node_api.h ]] || options+=("--nodedir=$prefix")
  key="$(node -p 'process.version + process.execPath') ${CXX:-} ${CXXFLAGS:-} ${LDFLAGS:-}"
  [[ -e $folder/.key && $(<"$folder/.key") == "$key" ]] || rm -rf "$folder"
  mkdir -p "$folder"
  printf '%s\n' "$key" >"$folder/.key"
  ln -sfn ../native "$folder/native"
  ln -sfn "../$gyp" "$folder/binding.gyp"
  step "compiling the native code with sanitizers" node-gyp "${options[@]}"
}
