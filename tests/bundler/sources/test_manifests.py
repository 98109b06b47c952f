from __future__ import annotations

import os
from contextlib import chdir
from pathlib import Path

import pytest

from airgap_bundler.sources.application import Application
from airgap_bundler.sources.manifests import load_application
from airgap_shared.errors import (
    LimitExceeded,
    ManifestSourceInvalid,
    MediaReadError,
    RemoteBaseForbidden,
    UsageError,
    YamlTooDeep,
)
from airgap_shared.kube.yamltext import SIZE_LIMIT

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: NAME}\n"


def put(folder: Path, **files: str) -> Path:
    """Write files; ``a__b_yaml`` is ``a/b.yaml``."""
    for name, content in files.items():
        path = folder / (name.replace("__", "/").replace("_", "."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def pod(name: str) -> str:
    return POD.replace("NAME", name)


def paths(application: Application) -> list[str]:
    return [file.path for file in application.files]


def reasons(application: Application) -> dict[str, str]:
    return {skipped.path: skipped.reason for skipped in application.skipped}


def test_a_file_is_kept_byte_for_byte(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf# a comment\r\n" + pod("a").replace("\n", "\r\n").encode()
    (tmp_path / "app.yaml").write_bytes(content)
    application = load_application([str(tmp_path / "app.yaml")])
    assert [(file.path, file.content) for file in application.files] == [("app.yaml", content)]
    assert [str(obj) for obj in application.objects] == ["app.yaml#Pod/a"]


def test_a_folder_is_read_recursively_and_sorted(tmp_path: Path) -> None:
    put(tmp_path, b_yaml=pod("b"), a__z_yml=pod("z"), a__c_json='{"apiVersion":"v1","kind":"Pod"}')
    application = load_application([str(tmp_path)])
    assert paths(application) == ["a/c.json", "a/z.yml", "b.yaml"]
    assert [obj.identity.name for obj in application.objects] == ["", "z", "b"]


def test_what_is_no_part_of_the_application_is_named_with_its_reason(tmp_path: Path) -> None:
    put(
        tmp_path,
        app_yaml=pod("a") + "---\nvalues: 1\n",
        values_yaml="image: nginx\n",
        empty_yaml="# nothing\n",
        README_md="hello",
        sub__kustomization_yaml="resources: [x.yaml]\n",
        sub__x_yaml=pod("x"),
        named__kustomization_yaml="namePrefix: a-\nlabels: [{pairs: {a: b}}]\nimages: []\n",
        broken__kustomization_yaml="a: b: c",
        k_yaml="apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
    )
    put(tmp_path / ".git", config_yaml=pod("hidden"))
    (tmp_path / ".hidden.yaml").write_text(pod("hidden"))
    os.mkfifo(tmp_path / "pipe.yaml")
    application = load_application([str(tmp_path)])
    assert paths(application) == ["app.yaml", "sub/x.yaml"]
    assert reasons(application) == {
        ".git": "hidden",
        ".hidden.yaml": "hidden",
        "README.md": "not .yaml, .yml or .json",
        "app.yaml:4": "not part of the application: no apiVersion and no kind",
        "empty.yaml": "not part of the application: empty",
        "k.yaml": "not part of the application: a kustomization",
        "pipe.yaml": "not a regular file",
        "sub/kustomization.yaml": (
            "a kustomization inside the folder; its files are read as they are"
        ),
        "named/kustomization.yaml": (
            "a kustomization inside the folder; its files are read as they are, "
            "namePrefix, labels: NOT applied"
        ),
        "broken/kustomization.yaml": (
            "a kustomization inside the folder; its files are read as they are, "
            "all that it says (it cannot be read): NOT applied"
        ),
        "values.yaml": "not part of the application: no apiVersion and no kind",
    }
    assert [one.path for one in application.unapplied] == [
        "broken/kustomization.yaml",
        "named/kustomization.yaml",
    ]


def test_a_kustomization_among_other_documents_is_left_out(tmp_path: Path) -> None:
    kustomization = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    put(tmp_path, app_yaml=f"{pod('a')}---\n{kustomization}")
    application = load_application([str(tmp_path / "app.yaml")])
    assert [obj.identity.kind for obj in application.objects] == ["Pod"]
    assert reasons(application) == {
        "app.yaml#Kustomization (document 1)": "not part of the application: kustomize's"
    }


def test_links_never_lead_out_of_the_folder(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside", secret_yaml=pod("secret"), folder__x_yaml=pod("x"))
    root = put(tmp_path / "root", app_yaml=pod("a"))
    put(root / "..data", linked_yaml=pod("linked"))
    (root / "out.yaml").symlink_to(outside / "secret.yaml")
    (root / "dir").symlink_to(outside / "folder")
    (root / "same.yaml").symlink_to("app.yaml")
    (root / "linked.yaml").symlink_to("..data/linked.yaml")
    (root / "gone.yaml").symlink_to("nowhere.yaml")
    (root / "loop.yaml").symlink_to("loop.yaml")
    application = load_application([str(root)])
    assert paths(application) == ["app.yaml", "linked.yaml"]
    assert reasons(application) == {
        "..data": "hidden",
        "dir": "a link to a folder",
        "gone.yaml": "a link to nothing",
        "loop.yaml": "a link to nothing",
        "out.yaml": "a link that leads out of the folder",
        "same.yaml": "the same file as app.yaml",
    }


def test_a_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    put(tmp_path / "real", app_yaml=pod("a"))
    (tmp_path / "link").symlink_to("real")
    assert paths(load_application([str(tmp_path / "link")])) == ["app.yaml"]


def test_several_sources_do_not_collide(tmp_path: Path) -> None:
    one = put(tmp_path / "one" / "app", app_yaml=pod("a"))
    two = put(tmp_path / "two" / "app", app_yaml=pod("b"))
    sources = [one, two, one / "app.yaml", two / "app.yaml"]
    application = load_application([*map(str, sources), "-"], pod("c").encode())
    assert paths(application) == [
        "app/app.yaml",
        "app-2/app.yaml",
        "app.yaml",
        "app-2.yaml",
        "stdin.yaml",
    ]
    assert [obj.identity.name for obj in application.objects] == ["a", "b", "a", "b", "c"]


@pytest.mark.parametrize("name", ["kustomization.yaml", "kustomization.yml", "Kustomization"])
def test_a_kustomization_folder_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    put(tmp_path, app_yaml=pod("a"))
    (tmp_path / name).write_text("resources: [app.yaml]\n")
    with pytest.raises(UsageError) as caught:
        load_application([str(tmp_path)])
    assert "kubectl kustomize" in caught.value.next_step


@pytest.mark.parametrize("folder", [".", "charts/x"])
def test_a_chart_is_refused_with_what_to_do(tmp_path: Path, folder: str) -> None:
    put(tmp_path, app_yaml=pod("a"))
    put(tmp_path / folder, Chart_yaml="apiVersion: v2\nname: x\n")
    with pytest.raises(UsageError) as caught:
        load_application([str(tmp_path)])
    assert "helm template" in caught.value.next_step


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_application([str(tmp_path / "missing")])
    assert caught.value.where.endswith("missing")


@pytest.mark.parametrize("content", ["", "# nothing\n", "image: nginx\n", "hello\n"])
def test_a_file_that_was_asked_for_must_hold_an_object(tmp_path: Path, content: str) -> None:
    put(tmp_path, app_yaml=content)
    with pytest.raises(UsageError, match="no Kubernetes object"):
        load_application([str(tmp_path / "app.yaml")])
    with pytest.raises(UsageError, match="no Kubernetes object"):
        load_application(["-"], content.encode())


def test_a_folder_without_manifests_says_what_it_saw(tmp_path: Path) -> None:
    put(tmp_path, README_md="x", values_yaml="a: 1\n")
    with pytest.raises(UsageError, match="no Kubernetes manifest") as caught:
        load_application([str(tmp_path)])
    assert len(caught.value.details) == 2


def test_one_broken_file_is_its_own_error(tmp_path: Path) -> None:
    put(tmp_path, app_yaml=pod("a"), deep_yaml="[" * 1000)
    with pytest.raises(YamlTooDeep) as caught:
        load_application([str(tmp_path)])
    assert caught.value.where == "deep.yaml:1:65"


def test_broken_files_are_reported_together(tmp_path: Path) -> None:
    put(tmp_path, a_yaml="a: b: c", b_yaml=pod("b"), c_yaml="[" * 1000)
    with pytest.raises(ManifestSourceInvalid) as caught:
        load_application([str(tmp_path)])
    assert [detail.partition(":")[0] for detail in caught.value.details] == [
        "ManifestSourceInvalid",
        "YamlTooDeep",
    ]
    assert "a.yaml:1:5" in caught.value.details[0]


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ("{name: y, namespace: n}", ("name is the boolean true", "namespace is the boolean false")),
        ("{name: 1e3}", ("name is the number 1e3",)),
        ("{name: 010}", ("name is the number 010",)),
        ("{generateName: [a]}", ("generateName is a list or a mapping",)),
    ],
)
def test_a_name_that_is_no_text_is_refused_with_its_line(
    tmp_path: Path, metadata: str, told: tuple[str, ...]
) -> None:
    text = pod("a") + "---\n# odd\n" + POD.replace("{name: NAME}", metadata)
    put(tmp_path, app_yaml=text, b_yaml=pod("b"))
    with pytest.raises(ManifestSourceInvalid) as caught:
        load_application([str(tmp_path)])
    assert [detail.rpartition("metadata.")[2] for detail in caught.value.details] == list(told)
    assert caught.value.where == ("app.yaml:8" if "[" not in metadata else "app.yaml")
    assert "quotes" in caught.value.next_step


def test_a_name_in_a_list_is_refused_with_its_line(tmp_path: Path) -> None:
    text = (
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: PodList\n  items:\n"
        "  - metadata: {name: a}\n  - metadata:\n      name: off\n"
    )
    put(tmp_path, app_yaml=text)
    with pytest.raises(ManifestSourceInvalid) as caught:
        load_application([str(tmp_path)])
    assert caught.value.details == ("app.yaml:9: Pod: metadata.name is the boolean false",)


@pytest.mark.parametrize("name", ['"y"', "'1'", "!!str 1", "yesterday", "", "null"])
def test_a_name_that_is_text_or_missing_is_none_to_refuse(tmp_path: Path, name: str) -> None:
    put(tmp_path, app_yaml=POD.replace("{name: NAME}", f"\n  name: {name}\n  a: b"))
    assert len(load_application([str(tmp_path)]).objects) == 1


@pytest.mark.parametrize("name", ["my app.yaml", "ä.yaml", "a" * 100 + ".yaml", "con.yaml"])
def test_names_that_cannot_travel_are_refused_only_for_manifests(tmp_path: Path, name: str) -> None:
    put(tmp_path, app_yaml=pod("a"))
    (tmp_path / name).write_text("values: 1\n")
    assert paths(load_application([str(tmp_path)])) == ["app.yaml"]
    (tmp_path / name).write_text(pod("b"))
    with pytest.raises(UsageError) as caught:
        load_application([str(tmp_path)])
    assert caught.value.details == (name,)


def test_folders_that_are_too_deep_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "/".join("abcdefghijklmno"), app_yaml=pod("a"))
    assert len(load_application([str(tmp_path)]).files) == 1
    put(tmp_path / "/".join("abcdefghijklmnop"), app_yaml=pod("a"))
    with pytest.raises(UsageError, match="names"):
        load_application([str(tmp_path)])


def test_a_file_over_the_limit_is_refused_before_it_is_read_whole(tmp_path: Path) -> None:
    big = tmp_path / "big.yaml"
    with big.open("wb") as stream:
        stream.truncate(SIZE_LIMIT * 64)
    with pytest.raises(LimitExceeded) as caught:
        load_application([str(big)])
    assert caught.value.where == str(big)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    put(tmp_path, app_yaml=pod("a"))
    (tmp_path / "app.yaml").chmod(0)
    with pytest.raises(MediaReadError) as caught:
        load_application([str(tmp_path)])
    assert caught.value.where.endswith("app.yaml")


@pytest.mark.parametrize("source", ["a" * 300, f"{'a' * 300}/b", "a/" * 2500])
def test_what_no_file_system_takes_is_no_source(source: str) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        load_application([source])


def test_a_link_to_what_no_file_system_takes_is_a_link_to_nothing(tmp_path: Path) -> None:
    put(tmp_path, app_yaml=pod("a"))
    (tmp_path / "link.yaml").symlink_to("b" * 300)
    application = load_application([str(tmp_path)])
    assert paths(application) == ["app.yaml"]
    assert reasons(application) == {"link.yaml": "a link to nothing"}


def test_a_base_that_no_file_system_takes_is_none_beside_the_file(tmp_path: Path) -> None:
    put(tmp_path, kustomization_yaml=f"resources: ['example.com/{'b' * 300}']\n")
    with pytest.raises(RemoteBaseForbidden):
        load_application([str(tmp_path)])


def test_folders_too_deep_to_be_read_are_not_left_out(tmp_path: Path) -> None:
    put(tmp_path, app_yaml=pod("a"))
    with chdir(tmp_path):
        for _ in range(20):
            Path("d" * 240).mkdir()
            os.chdir("d" * 240)
        Path("deep.yaml").write_text(pod("deep"))
    with pytest.raises(MediaReadError):
        load_application([str(tmp_path)])
