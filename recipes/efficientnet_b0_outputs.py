"""Several outputs of one network: here the type and the price of a product on its image.

Data: a table with the columns path, type and price; cells may be empty. Name other columns by
--set 'objective={kind: classification, weight: regression}', or edit a copy of this recipe.
The metrics stand beside those of the same network trained on each output alone.
"""

from keras_transfer import Classification, FineTune, Head, Regression, Stage

recipe = FineTune(
    data="products.csv",
    backbone="efficientnet_b0",
    head=Head(dropout=0.2),
    objective={"type": Classification(), "price": Regression(weight=0.3)},
    stages=(
        Stage("head", epochs=10, learning_rate=1e-3),
        Stage("tune", epochs=10, learning_rate=1e-4, unfreeze="block6", schedule="cosine"),
    ),
)
run = recipe.run
