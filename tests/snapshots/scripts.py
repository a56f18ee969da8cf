"""Scripts that destroy: each is run by bash in a copy of the repository that `PREPARE` makes."""

PREPARE = r"""
git init -q -b main .
mkdir -p src/deep/er docs empty/inner build 'odd names' sticky closed locked
printf 'print("one")\n' > src/app.py
for n in 1 2 3 4 5 6 7 8; do printf 'value = %s\n' $n > src/deep/m$n.py; done
printf 'hello\n' > README.md
printf 'build/\n*.log\n' > .gitignore
printf 'x%.0s' {1..5000} > docs/long.txt
printf '#!/bin/sh\necho run\n' > src/run.sh; chmod 755 src/run.sh
git add -A; git commit -qm 'one'
printf 'print("two")\n' > src/app.py; git commit -qam 'two'
git branch side
git checkout -q -b topic HEAD~1; printf 'print("topic")\n' > src/app.py; git commit -qam 'topic'
git checkout -q main
printf 'three\n' >> README.md; git commit -qam 'three'; git tag -a v1 -m 'first'
printf 'stashed\n' >> README.md; git stash -q
git init -q ../library; git -C ../library commit -q --allow-empty -m 'library'
printf 'lib\n' > ../library/lib.c; git -C ../library add -A; git -C ../library commit -qm 'lib'
git submodule --quiet add ../library vendor/library; git commit -qm 'submodule'
git init -q nested; printf 'n\n' > nested/file; git -C nested add -A; git -C nested commit -qm 'nested'
printf 'changed\n' > nested/file
printf 'built\n' > build/out.o; printf 'noise\n' > debug.log
printf 'untracked\n' > notes.txt; printf 'staged\n' > staged.txt; git add staged.txt
printf 'secret\n' > private.key; chmod 600 private.key
printf 'spaced\n' > 'odd names/a b'; printf 'line\n' > $'odd names/new\nline';
printf 'dash\n' > 'odd names/-rf'
printf 'raw\n' > $'odd names/\xff\xfe.bin'; printf 'star\n' > 'odd names/*'; printf 'umlaut\n' > 'odd names/ä'
mkdir $'odd names/\xfe dir'; printf 'in\n' > $'odd names/\xfe dir/\x80'
printf 'joined\n' > first; ln first second; ln first src/third
ln -s README.md link; ln -s nowhere dangling; ln -s src linked; ln -s / outside; ln -s loop loop
chmod 1777 sticky; printf 's\n' > sticky/file; chmod 4755 src/run.sh
printf 'c\n' > closed/file; chmod 500 closed; printf 'l\n' > locked/file; chmod 000 locked/file
: > nothing; truncate -s 10M sparse; printf 'end' >> sparse
truncate -s 200M huge; head -c 300000 /dev/urandom >> huge
head -c 100000 /dev/urandom | dd of=huge bs=64k seek=50000000 oflag=seek_bytes conv=notrunc status=none
touch -d '2001-02-03 04:05:06.789' src/deep/m1.py docs; touch -d 1969-12-31 src/deep/m2.py
"""

SCRIPTS = {
    "rm_everything": "rm -rf ./* ./.[!.]*",
    "rm_git": "rm -rf .git",
    "rm_tracked": "git rm -rqf src README.md",
    "clean": "git clean -fdxq",
    "clean_twice": "git clean -ffdxq; git clean -ffdxq",
    "reset_hard": "git reset -q --hard",
    "reset_far": "git reset -q --hard HEAD~3",
    "checkout_all": "printf x > src/app.py; git checkout -q -- .",
    "switch_branch": "git checkout -qf topic",
    "delete_branches": "git branch -qD side topic",
    "delete_tag": "git tag -d v1 >/dev/null",
    "drop_stash": "git stash drop -q",
    "pop_stash": "git reset -q --hard; git stash pop -q",
    "clear_stash_and_gc": "git stash clear; git reflog expire --expire=now --all; git gc -q --prune=now",
    "gc": "git gc -q --prune=now",
    "repack": "git repack -adq; git prune-packed -q; git pack-refs --all",
    "rebase_gone_wrong": "git stash -q; git rebase -q topic >/dev/null 2>&1 || true; printf 'x' > src/app.py",
    "rebase_with_theirs": "git reset -q --hard; git rebase -qX theirs topic 2>&1 || git rebase --abort",
    "merge_conflict": "git reset -q --hard; git merge -q topic >/dev/null 2>&1 || true",
    "amend": "git commit -q --amend -m 'other'; git reflog expire --expire=now --all",
    "rewrite": "git reset -q --hard; git filter-branch -f --msg-filter 'tr a-z A-Z' HEAD >/dev/null 2>&1",
    "orphan": "git checkout -q --orphan fresh; git rm -rqf --cached .; git commit -q --allow-empty -m o",
    "submodule_gone": "git submodule --quiet deinit -f --all; rm -rf .git/modules vendor",
    "submodule_moved": "git -C vendor/library checkout -q HEAD~1; printf x > vendor/library/new",
    "nested_gone": "rm -rf nested/.git; printf x > nested/file",
    "break_head": "printf garbage > .git/HEAD; rm -f .git/index; printf x > .git/refs/heads/main",
    "damage_objects": "find .git/objects -type f | head -5 | while read f; do chmod +w $f; echo > $f; done",
    "find_delete": "find . -mindepth 1 -delete",
    "find_files": "find . -type f -not -path './.git/*' -exec rm -f {} +",
    "mv_over": "mv README.md src/app.py; mv docs/long.txt README.md; mv -f notes.txt first",
    "mv_tree": "mv src lib; mv docs src; mv .git elsewhere",
    "rename_all": "for f in src/deep/*; do mv $f $f.bak; done; mv empty empty2",
    "sed": "sed -i 's/e/3/g' README.md src/app.py src/deep/*.py first",
    "sed_in_place": "for f in src/deep/*.py second; do printf 'x' > $f; done",
    "perl": "perl -pi -e 's/value/v/' src/deep/*.py",
    "chmod_all": "chmod -R 777 .",
    "chmod_none": "chmod 000 src README.md .git; chmod u-w .",
    "chmod_bits": "chmod -s src/run.sh; chmod -t sticky; chmod 700 sticky empty empty/inner",
    "touch_all": "find . -exec touch -h {} +",
    "links_swapped": "ln -sfn docs linked; ln -sf src/app.py link; rm outside dangling; ln -s /etc outside",
    "link_for_directory": "rm -rf src; ln -s docs src; rm -rf empty; ln -s /tmp empty",
    "directory_for_link": "rm linked link; mkdir linked; printf x > linked/x; mkdir -p link/a/b",
    "file_for_directory": "rm -rf src docs; printf x > src; printf y > docs",
    "directory_for_file": "rm README.md first; mkdir -p README.md/a first; printf x > README.md/a/b",
    "truncate": "truncate -s 0 README.md src/app.py huge sparse; : > docs/long.txt",
    "truncate_some": "truncate -s 100M huge; truncate -s 3 docs/long.txt; truncate -s 1M README.md",
    "write_in_huge": "printf x | dd of=huge bs=1 seek=123456789 conv=notrunc status=none; printf y >> huge",
    "fill_sparse": "head -c 3000000 /dev/zero | tr '\\0' z > sparse",
    "hard_links_parted": "cp -p first tmp; mv tmp first; printf x > second",
    "hard_links_made": "ln -f README.md src/app.py; ln -f src/deep/m1.py src/deep/m2.py; rm src/third",
    "odd_names_gone": "rm -rf 'odd names'; mkdir 'odd names'; printf x > $'odd names/\\xff'",
    "new_odd_names": "printf x > $'\\x01\\x02'; mkdir -p $'a\\nb/\\xc3'; printf y > $'a\\nb/\\xc3/ '",
    "many_new": "mkdir -p gen/{a,b,c}/{1,2,3}; for n in {1..60}; do printf $n > gen/a/1/$n; done",
    "python_rmtree": "python3 -c \"import shutil, os\nfor d in os.listdir('.'):\n"
    ' if os.path.isdir(d) and not os.path.islink(d): shutil.rmtree(d)"',
    "tar_over": "tar cf t.tar docs; rm -rf docs; printf x > docs; rm docs; tar xf t.tar --touch; rm t.tar",
    "overwrite_config": "git config user.name evil; echo > .git/hooks/pre-commit; rm -rf .git/refs .git/logs",
    "empty_directories": "rmdir empty/inner empty; mkdir -p other/empty; rm -r sticky",
    "same_size_same_time": "cp -p README.md r; tr a-z b-za < r > README.md; touch -r r README.md; rm r",
    "writer_in_background": "(while :; do date +%N >> busy; date +%N > src/app.py; done) & w=$!;"
    " while [ $(stat -c %s busy 2>/dev/null || echo 0) -lt 200 ]; do :; done; kill $w; wait $w || true",
    "pipes_and_sockets": "mkfifo pipe; rm -rf docs;"
    " python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('s')\"",
}
