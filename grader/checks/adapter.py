"""ADP: the adapter's files are safe to read, complete, and fit the base."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from grader.checks.api.context import Context, Verdict, failed, needs_review, passed
from grader.checks.api.registry import check
from grader.checks.views.attempted import part_left_out
from grader.core.errors import FileRefused, GraderFault
from grader.core.nouns import BaseModel, Submission
from grader.models import adapter_files as files
from grader.models.adapter_config import (
    check_base,
    check_features,
    check_rank,
    read_config,
    submitted_base,
)
from grader.models.base_profile import profile_for

ADAPTER = "adapter"
"""The deliverable that is the adapter's folder."""


def _base(context: Context) -> BaseModel:
    return submitted_base(context.submission, context.assignment, context.bound(ADAPTER))


def _judge(context: Context, step: Callable[[Submission, str], Verdict]) -> Verdict:
    """The verdict of `step(submission, folder)`, or fail with what it refuses."""
    folder: str | None = None
    try:
        folder = context.place(ADAPTER)
        if folder is None:
            if (left_out := part_left_out(context, context.deliverable(ADAPTER))) is not None:
                return left_out
            wanted = context.deliverable(ADAPTER).paths[0]
            raise FileRefused(
                "ADP001",
                f"There is no adapter folder {wanted!r} in the submission.",
                f"Save the trained adapter with model.save_pretrained({wanted!r}) and submit "
                "that folder.",
            )
        return step(context.submission, folder)
    except FileRefused as error:
        return failed(error.message, error.hint, path=error.path or folder)


@check("ADP001", deliverables=(ADAPTER,))
def weights_are_safetensors(context: Context) -> Verdict:
    """The adapter's weights are in a safetensors file

    Why: Other formats (.bin, .pt, .pkl, .ckpt) are Python pickles, and opening a pickle can run
    any program. safetensors holds numbers and nothing else, so it can be opened without trust.

    Fix: Save with `model.save_pretrained("adapter")`. Current versions of peft write
    `adapter_model.safetensors` unless they are told otherwise. With Git, make sure that the file
    itself is submitted and not a Git LFS pointer.
    """

    def step(submission: Submission, folder: str) -> Verdict:
        return passed(f"{files.find_weights(submission, folder)} is there.")

    return _judge(context, step)


@check("ADP002", deliverables=(ADAPTER,), needs=("ADP001",))
def config_is_readable(context: Context) -> Verdict:
    """The adapter's config is readable and says LoRA

    Why: Without rank and alpha the weights have no meaning. `target_modules` has to be a list: a
    single text is a search pattern, and a student's pattern is not run on the grader's machine.

    Fix: Train with a `peft.LoraConfig` and leave the `adapter_config.json` that
    `model.save_pretrained` writes as it is. It has to be strict JSON with `peft_type`, `r`,
    `lora_alpha` and `target_modules`.
    """

    def step(submission: Submission, folder: str) -> Verdict:
        config = read_config(submission, folder)
        unknown = ", ".join(config.unknown_keys)
        note = f"Keys of adapter_config.json that were left alone: {unknown}" if unknown else ""
        own = "; some layers have their own" if config.rank_pattern or config.alpha_pattern else ""
        text = f"LoRA with r = {config.r} and lora_alpha = {config.alpha:g}{own}."
        return passed(text, note=note)

    return _judge(context, step)


@check("ADP003", deliverables=(ADAPTER,), needs=("ADP001",))
def header_is_well_formed(context: Context) -> Verdict:
    """The adapter's weights file is whole and well formed

    Why: A file that was cut off while copying, or changed by hand, holds other numbers than the
    ones that were trained. Every byte of it has to belong to exactly one tensor of type F32, F16 or
    BF16.

    Fix: Save the adapter again with `model.save_pretrained("adapter")`, copy the folder once more,
    and compare the sizes of the files before you submit it.
    """

    def step(submission: Submission, folder: str) -> Verdict:
        return passed(f"{len(files.read_entries(submission, folder))} tensors are there.")

    return _judge(context, step)


@check("ADP004", deliverables=(ADAPTER,), needs=("ADP003", "ADP006", "ADP009"))
def tensors_are_lora_pairs(context: Context) -> Verdict:
    """Every tensor of the adapter is half of a LoRA pair

    Why: Libraries skip tensors whose names they do not know without a word, and the adapter then
    does less than it was trained to do, or nothing. So every tensor must be understood: an A and a
    B for each layer, both of the rank in the config, for layers in `target_modules`.

    Fix: Save the model that `get_peft_model` returned, not the base model or the merged one, and do
    not rename tensors or edit the config afterwards.
    """

    def step(submission: Submission, folder: str) -> Verdict:
        return passed(f"{len(_pairs(submission, folder))} layers are adapted.")

    return _judge(context, step)


@check("ADP005", deliverables=(ADAPTER,), needs=("ADP004", "ADP008"))
def tensors_fit_the_base(context: Context) -> Verdict:
    """Every tensor of the adapter fits the assignment's base model

    Why: An adapter is a change to the layers of one base. On a base with other layers, or layers
    of other sizes, it cannot be applied.

    Fix: Train on the base that the assignment names and adapt its attention and MLP layers. The
    vocabulary layers (`lm_head`, `embed_tokens`) are not adapted in this course.
    """

    def step(submission: Submission, folder: str) -> Verdict:
        base = _base(context)
        try:
            profile = profile_for(base)
        except GraderFault as fault:
            if context.runs:
                raise
            return needs_review(
                f"Not checked here: whether the adapted layers are layers of {base.title}. This "
                "machine does not know their shapes; grading does. All other checks of the files "
                "were made.",
                note=str(fault),
            )
        files.check_shapes(_pairs(submission, folder), profile)
        return passed(f"Every adapted layer is one of {profile.name}, with the same sizes.")

    return _judge(context, step)


@check("ADP006", deliverables=(ADAPTER,), needs=("ADP002",))
def rank_and_size_within_limits(context: Context) -> Verdict:
    """The adapter's rank, alpha and size are within the limits

    Why: A low-rank adapter is small: that is its point. The limits are far above what the course
    needs and keep one submission from slowing down everyone's grading.

    Fix: Use a rank of 64 or less (8 to 16 is plenty), an alpha of at most 1024, and submit the
    adapter alone, not the merged model.
    """

    def step(submission: Submission, folder: str) -> Verdict:
        config = read_config(submission, folder)
        check_rank(config)
        files.check_size(submission, folder)
        return passed(f"The rank is {config.r}.")

    return _judge(context, step)


@check("ADP007", deliverables=(ADAPTER,), needs=("ADP004",))
def weights_are_finite(context: Context) -> Verdict:
    """The adapter's weights are finite numbers of a sensible size

    Why: A training that diverges leaves NaN or huge numbers behind. Some programs hide them and
    show answers that look like the base model's, so the weights themselves are looked at.

    Fix: Lower the learning rate, clip gradients (`max_grad_norm`), and watch the loss while you
    train. Submit a checkpoint from before the loss became NaN.
    """

    def step(submission: Submission, folder: str) -> Verdict:
        return passed(f"All {_size(_adapter(submission, folder))} weights are finite.")

    return _judge(context, step)


@check("ADP008", deliverables=(ADAPTER,), needs=("ADP002",))
def trained_on_the_base(context: Context) -> Verdict:
    """The adapter was trained on the assignment's base model

    Why: The score compares the base with and without the adapter. An adapter that was trained on
    another model changes the wrong numbers, even where the shapes happen to fit.

    Fix: Load the base that the assignment names (the kit's `course-model` folder, or the named
    hub model), train on it and save again. `base_model_name_or_path` in `adapter_config.json` is
    written when you save.
    """

    def step(submission: Submission, folder: str) -> Verdict:
        check_base(read_config(submission, folder), _base(context))
        return passed(f"The config names {_base(context).title}.")

    return _judge(context, step)


@check("ADP009", deliverables=(ADAPTER,), needs=("ADP002",))
def only_supported_features(context: Context) -> Verdict:
    """The adapter is plain LoRA or rsLoRA

    Why: All adapters of a class run over one loaded base, and none may change it for the next one.
    DoRA, trained biases, whole saved layers, adapted vocabulary layers, and initialisations that
    rewrite the base (PiSSA, OLoRA, CorDA, LoftQ) do not fit into that. `rank_pattern` and
    `alpha_pattern` may name layers, but no search patterns: a student's pattern is not run on the
    grader's machine.

    Fix: Train with `LoraConfig(r=..., lora_alpha=..., target_modules=[...])`; `use_rslora=True` is
    fine. Leave the other features at their defaults.
    """

    def step(submission: Submission, folder: str) -> Verdict:
        config = read_config(submission, folder)
        check_features(config)
        return passed(f"It is plain {'rsLoRA' if config.use_rslora else 'LoRA'}.")

    return _judge(context, step)


@check("ADP010", deliverables=(ADAPTER,), needs=("ADP007",))
def adapter_changes_the_base(context: Context) -> Verdict:
    """The adapter changes the base model

    Why: LoRA starts without any effect, because its B is all zero. An adapter that is saved before
    training, or trained with an optimizer that never sees its parameters, still has none.

    Fix: Check that `model.print_trainable_parameters()` shows trainable parameters, that the loss
    falls, and that you save the model after training.
    """

    def step(submission: Submission, folder: str) -> Verdict:
        files.check_effect(_adapter(submission, folder))
        return passed("Its B and A have an effect.")

    return _judge(context, step)


@check("ADP011", deliverables=(ADAPTER,), needs=("ADP001",))
def no_pickles_beside(context: Context) -> Verdict:
    """The adapter's folder holds no pickle files

    Why: Whoever loads the folder with an older library may open the pickle instead of the
    safetensors file, and a pickle can run any program. Handing over a folder without one is part
    of handing over a model.

    Fix: Remove files that end in .bin, .pt, .pth, .pkl, .pickle, .ckpt or .joblib, such as the
    optimizer's state and `training_args.bin` of a checkpoint.
    """

    def step(submission: Submission, folder: str) -> Verdict:
        files.check_no_pickles(submission, folder)
        return passed("There is no pickle in it.")

    return _judge(context, step)


def _pairs(submission: Submission, folder: str) -> Mapping[str, files.PairEntry]:
    config = read_config(submission, folder)
    return files.pair_up(files.read_entries(submission, folder), config)


@lru_cache(maxsize=1)
def _adapter(submission: Submission, folder: str) -> files.AdapterFiles:
    """Kept for the next check of the same submission: weights are the dear part."""
    config = read_config(submission, folder)
    return files.read_weights(submission, folder, _pairs(submission, folder), config)


def _size(adapter: files.AdapterFiles) -> int:
    return sum(pair.a.size + pair.b.size for pair in adapter.modules.values())
